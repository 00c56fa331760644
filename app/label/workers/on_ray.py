"""The same work on a Ray cluster: Ray Data hands the shards out, adds and removes actors, and outlives machines.

What a machine that dies had under way is done again elsewhere. What it had committed is found done.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from app.label.errors import WorkError
from app.label.output.tables import PICTURES, Summary, part_name
from app.label.workers.job import Job
from app.label.workers.pool import Pool
from model.archives.errors import ArchiveError
from model.archives.extras import library
from model.archives.locations import Location, locate

LOCAL, AUTO = "local", "auto"
"""The addresses that stand for a cluster started here, for this run, and for the one this machine is in."""

CONNECT_SECONDS = 10

STORE_BYTES = 100_000_000
"""Ray's object store, where it is started here. It carries numbers of shards and counts, never pictures."""

MOST_BLOCKS = 10_000
"""Ray keeps account of every block; of more shards than this a block has several."""

_FIELDS = ("shard", "pictures", "failures", "detections")


def run_on_ray(
    job: Job, shards: NDArray[np.int64], address: str, processes: int, told: Callable[[int], object]
) -> Iterator[Summary]:
    """Label shards on a Ray cluster.

    Args:
        job: what each process needs to know; its folders and its model must be there on every machine.
        shards: their numbers.
        address: of the cluster's head, `auto` for the cluster this machine is in, or LOCAL.
        processes: how many at most, where the cluster is started here; otherwise as many as its CPUs allow.
        told: told how many more pictures are done.

    Raises:
        MissingExtraError: Ray is not installed.
        WorkError: the work cannot go on.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    ray = library("ray", "ray", "--ray")
    library("ray.data", "ray", "--ray")
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    if address not in {LOCAL, AUTO}:
        _check_reachable(address)
    try:
        ray.init(
            address=address,
            include_dashboard=False,
            logging_level="warning",
            log_to_driver=False,
            **(_bounds(processes * job.threads) if address == LOCAL else {}),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise WorkError(f"--ray {address}: {error}") from error
    try:
        for row in _results(ray, job, shards).iter_rows():
            summary = Summary(**{name: int(row[name]) for name in _FIELDS})
            told(summary.pictures)
            yield summary
    except ray.exceptions.RayError as error:
        raise WorkError(_reason(error)) from error
    finally:
        ray.shutdown()


def _bounds(cpus: int) -> dict[str, Any]:
    """Return what a cluster that is started here may take, and that only this machine reaches it."""
    return {"num_cpus": cpus, "object_store_memory": STORE_BYTES, "_node_ip_address": "127.0.0.1"}


def _check_reachable(address: str) -> None:
    """See that something listens there: Ray itself would try for many minutes.

    Raises:
        WorkError: nothing does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise WorkError(f"--ray {address}: there is no Ray cluster to be reached ({error})") from error


def _results(ray: Any, job: Job, shards: NDArray[np.int64]) -> Any:
    """Return the dataset of summaries."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False
    blocks = np.array_split(shards, min(len(shards), MOST_BLOCKS))
    on_gpu = job.provider in {"cuda", "tensorrt"}
    return ray.data.from_numpy(blocks).map_batches(
        _ShardActor,
        fn_constructor_args=(job,),
        batch_size=1,
        num_cpus=job.threads,
        num_gpus=1 if on_gpu else None,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=len(blocks), max_tasks_in_flight_per_actor=2),
    )


class _ShardActor:
    """Labels shards with a process of its own, which a picture may bring down without the actor."""

    def __init__(self, job: Job) -> None:
        self._pool = Pool(job, 1)
        self._output = locate(job.output)

    def __call__(self, batch: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
        (number,) = batch["data"].tolist()
        summary = _summary_of(self._output, number)
        if summary is None:
            (summary,) = self._pool.run([number])
        return {name: np.array([getattr(summary, name)]) for name in _FIELDS}


def _summary_of(output: Location, shard: int) -> Summary | None:
    """Return what came of a shard that is done."""
    name = part_name(PICTURES, shard)
    if output.look(name) is None:
        return None
    with output.open(name) as file:
        table = pq.read_table(file, columns=["detections", "failure"])
    failures = len(table) - table["failure"].null_count
    return Summary(shard, len(table), failures, sum(table["detections"].to_pylist()))


def _reason(error: BaseException) -> str:
    """Find our own sentence among what Ray wraps around it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ArchiveError):
            return str(cause)
        cause = getattr(cause, "cause", None) or cause.__cause__
    return f"Ray: {str(error).strip().splitlines()[-1]}"

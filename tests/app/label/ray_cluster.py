"""A Ray cluster of two nodes on this machine, in a process of its own: `python -m tests.app.label.ray_cluster`.

It writes its address, and then obeys lines of its standard input: `workers` writes how many processes label on the
second node, `kill` kills that node, and the end of the input ends the cluster.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.label.workers.on_ray import STORE_BYTES

TRIES = 3

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "node_ip_address": "127.0.0.1"}

HEALTH = {"health_check_period_ms": 1000, "health_check_timeout_ms": 5000, "health_check_failure_threshold": 3}
"""How soon a dead node is noticed; by default it takes twice as long."""


def main() -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    head = {**NODE, "include_dashboard": False, "_system_config": HEALTH}
    cluster = Cluster()
    try:
        started(lambda: cluster.add_node(**head))
        second = started(lambda: cluster.add_node(**NODE))
        cluster.wait_for_nodes()
        say(cluster.address)
        for line in sys.stdin:
            if line == "workers\n":
                raylet = second.all_processes["raylet"][0].process.pid
                say(sum(raylet in ancestors(process) for process in labelling()))
            elif line == "kill\n":
                cluster.remove_node(second, allow_graceful=False)
                say("killed")
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


def started(start: Callable[[], Any]) -> Any:
    """Start a node; on a busy machine it may take longer than the half minute that Ray gives it."""
    for _ in range(TRIES - 1):
        try:
            return start()
        except Exception as error:  # noqa: BLE001 - Ray raises no other
            sys.stderr.write(f"{error}\n")
    return start()


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def labelling() -> list[int]:
    """Return the processes that label, whoever started them."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and b"app.label.workers.worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


def ancestors(process: int) -> list[int]:
    found = []
    while process > 1:
        try:
            status = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            break
        process = int(status.rpartition(")")[2].split()[1])
        found.append(process)
    return found


if __name__ == "__main__":
    main()

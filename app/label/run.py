"""A labelling run from its beginning to its end, or to where it was stopped."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import FrameType

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.label.archive.listing import Listed, default_shard_size, first_difference, list_source, shards_of
from app.label.archive.shards import UNKNOWN, ShardReader, ShardWriter
from app.label.archive.sorting import SortedEntries
from app.label.errors import WorkError
from app.label.output.formats.write import write_formats
from app.label.output.manifest import Listing, read_manifest
from app.label.output.results import write_failures
from app.label.output.tables import PICTURES, Summary, shard_of
from app.label.plan import Plan
from app.label.workers.job import Job
from app.label.workers.pool import Pool
from model.archives.errors import OutputError
from model.archives.locations import LocalFolder, Location, locate
from model.wordtree import WordTree


class Stopped(BaseException):
    """A signal told the run to stop.

    Attributes:
        number: which.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True)
class Outcome:
    """What a run came to, with those before it on the same folder.

    Attributes:
        pictures, failures: how many.
        left_out: sentences about pictures that a format has no place for.
    """

    pictures: int
    failures: int
    left_out: tuple[str, ...] = ()


def run(plan: Plan, tree: WordTree) -> Outcome:
    """Label what of a source is not labelled yet.

    Args:
        plan: what to do.
        tree: the model's.

    Raises:
        ArchiveError: it cannot begin or go on.
        Stopped: by a signal. What is done is kept, and the same run again goes on.
    """
    output = locate(plan.job.output)
    try:
        return _run(plan, tree, output)
    except NotADirectoryError as error:
        raise OutputError(f"{error.filename}: {error.strerror}") from error
    except OSError as error:
        raise WorkError(f"{error.filename or output.url}: {error.strerror or error}") from error


def _run(plan: Plan, tree: WordTree, output: Location) -> Outcome:
    read_manifest(output)  # before anything is made in a folder that is another's
    with ExitStack() as stack:
        stack.enter_context(_stopped_by_signals())
        if isinstance(output, LocalFolder):
            stack.enter_context(output.alone())
            output.clear()
        manifest = read_manifest(output)
        before = None if manifest is None else manifest.listing  # None: it was killed before there were results
        if manifest is not None and before is not None:
            manifest.check_same(plan.manifest, output.url)
            _check_shard_size(plan, before, output)
        folder, listing = _list(plan, before, output)
        _work(plan, replace(plan.job, source=folder), output, listing.shards)
        return _finish(plan, output, folder, listing.shards, tree)


def _list(plan: Plan, before: Listing | None, output: Location) -> tuple[str, Listing]:
    """List the source, or see that it still is what was listed, and return its folder too."""
    with tqdm(desc="listing", unit="file", disable=None) as bar:
        every_file = plan.manifest.options.every_file
        listed = list_source(plan.source, every_file=every_file, output=output, progress=bar.update)
        digest = listed.digest()
    if before is None:
        return listed.location.url, _cut(plan, listed, digest, output)
    _check_unchanged(plan, listed, digest, before, output)
    return listed.location.url, before


def _check_shard_size(plan: Plan, before: Listing, output: Location) -> None:
    if plan.shard_size not in (None, before.shard_size):
        raise OutputError(
            f"{output.url} was started with shards of {before.shard_size} pictures, not of {plan.shard_size}"
        )


def _check_unchanged(plan: Plan, listed: Listed, digest: str, before: Listing, output: Location) -> None:
    """See that the source still is what was listed."""
    if before.digest != digest:
        old = SortedEntries(ShardReader(output).entries(before.shards))
        raise OutputError(
            f"{plan.source} has changed since {output.url} was started ({first_difference(old, listed.entries)}); "
            "use another output folder"
        )


def _cut(plan: Plan, listed: Listed, digest: str, output: Location) -> Listing:
    """Cut the source into shards, and keep the list of them."""
    plan.manifest.write(output)
    options = plan.manifest.options
    size = plan.shard_size or default_shard_size(listed.entries.pictures, plan.processes)
    with ShardWriter(output) as writer, tqdm(desc="cutting", unit="picture", disable=None) as bar:
        for shard in shards_of(listed, size, options.picture_column, options.key_column, bar.update):
            writer.add(shard)
    listing = Listing(digest=digest, shards=len(writer.counts), shard_size=size, passed_over=listed.passed_over)
    plan.manifest.model_copy(update={"listing": listing}).write(output)
    return listing


def _work(plan: Plan, job: Job, output: Location, shards: int) -> None:
    """Label the shards that are not done."""
    done = np.zeros(shards, np.bool_)
    done[[number for number in map(shard_of, output.names(PICTURES)) if number is not None and number < shards]] = True
    counts = ShardReader(output).counts()
    known = np.maximum(counts, 0)
    waiting: NDArray[np.int64] = np.flatnonzero(~done)
    with tqdm(
        desc="labelling",
        unit="picture",
        initial=int(known[done].sum()),
        total=None if (counts == UNKNOWN).any() else int(known.sum()),
        smoothing=0,
        disable=None,
    ) as bar:
        failures = 0
        for summary in _summaries(plan, job, waiting, bar.update):
            failures += summary.failures
            bar.set_postfix(failures=failures, refresh=False)


def _summaries(plan: Plan, job: Job, shards: NDArray[np.int64], told: Callable[[int], object]) -> Iterator[Summary]:
    if not len(shards):
        return
    if plan.ray is not None:
        from app.label.workers.on_ray import run_on_ray  # it comes with an extra

        yield from run_on_ray(job, shards, plan.ray, plan.processes, told)
        return
    with Pool(job, plan.processes) as pool:
        yield from pool.run(map(int, shards), told)


def _finish(plan: Plan, output: Location, source: str, shards: int, tree: WordTree) -> Outcome:
    """Write what is made of all shards together."""
    pictures, failures = write_failures(output, _with_bar("failures.jsonl", shards))
    model = plan.manifest.model
    left_out = write_formats(
        plan.formats,
        output,
        lambda one: _with_bar(str(one), shards),
        tree,
        source=source,
        model=f"{model.name} {model.version}",
    )
    return Outcome(pictures, failures, tuple(left_out))


def _with_bar(what: str, shards: int) -> Iterator[int]:
    return iter(tqdm(range(shards), desc=what, unit="shard", disable=None))


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Raise Stopped at SIGINT and SIGTERM; the second one ends the process as it always did."""

    def stop(number: int, _: FrameType | None) -> None:
        restore()
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        yield
    finally:
        restore()

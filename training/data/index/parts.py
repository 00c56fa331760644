"""Reading a set part by part, in several processes; what was read is kept, whatever happens to the rest.

Each part that is done goes into a journal, an Arrow stream. After a stop, what the journal has need not be read again;
nor does what an earlier index has, if its stamp is still the same.
"""

import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from tqdm import tqdm

from training.data.formats.detection_set import InvalidDatasetError, some_of


class Part(NamedTuple):
    """A part of a set, as it was read.

    Attributes:
        name: of the part within its set.
        stamp: what tells that it has changed.
        batch: its pictures, as columns.
        unusable: what cannot be used of it, and why.
        about: what else there is to say of it, as JSON has it.
    """

    name: str
    stamp: str
    batch: pa.RecordBatch
    unusable: tuple[str, ...] = ()
    about: dict[str, Any] = {}  # noqa: RUF012 - nobody writes to it


ReadPart = Callable[[str, str | None], Part | None]
"""What reads the part of a name; given the stamp of what is known of it, it returns None where that still holds."""


class PartsRead(NamedTuple):
    """All parts of a set, in order, and how many had to be read."""

    parts: list[Part]
    read: int


def read_parts(
    names: Sequence[str],
    read: ReadPart,
    known: Mapping[str, Part],
    journals: "Journals",
    processes: int,
    title: str,
    *,
    leave_out: bool = False,
) -> PartsRead:
    """Read the parts of a set. Progress is shown on a terminal.

    Args:
        names: of the parts, in order.
        read: what reads one; other processes get it.
        known: parts that were read before, by their names.
        journals: what keeps each part that is done; a caller who has stored the result clears them.
        processes: that read.
        title: what the bar of progress says.
        leave_out: go on without pictures that cannot be used.

    Raises:
        InvalidDatasetError: some pictures cannot be used; the parts without such are kept.
    """
    known = {**known, **journals.read()}
    found: dict[str, Part] = {}
    count = 0
    with (
        journals.writer() as keep,
        _pool(min(processes, len(names))) as pool,
        tqdm(desc=title, total=len(names), unit="part", disable=None, mininterval=1) as bar,
    ):
        try:
            waiting = {pool.submit(read, name, known[name].stamp if name in known else None): name for name in names}
            for done in as_completed(waiting):
                name, part = waiting[done], done.result()
                found[name] = known[name] if part is None else part
                bar.update()
                if part is not None:
                    count += 1
                    keep(part)
        finally:
            pool.shutdown(cancel_futures=True)
    unusable = [one for name in names for one in found[name].unusable]
    pictures = sum(part.batch.num_rows for part in found.values()) + len(unusable)
    if unusable and not leave_out:
        raise InvalidDatasetError(
            f"{len(unusable)} of {pictures} pictures cannot be used: {some_of(unusable)}. Replace or remove them"
        )
    return PartsRead([found[name] for name in names], count)


class Journals:
    """The files that keep the parts of one set: each run writes one, and all count until the set is whole.

    Args:
        folder: in which they are.
        stem: what their names begin with.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder, self._stem = folder, stem

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._stem}.*.journal"))

    def read(self) -> dict[str, Part]:
        """Return the parts that are kept; what a killed process left half written is none of them."""
        found = {}
        for path in self._files():
            with suppress(pa.ArrowInvalid, StopIteration, OSError), pa.memory_map(str(path)) as file:
                reader = pa.ipc.open_stream(file)
                while True:
                    batch, about = reader.read_next_batch_with_custom_metadata()
                    name, stamp, unusable, more = json.loads(about[b"part"])
                    found[name] = Part(name, stamp, batch, tuple(unusable), more)
        return found

    @contextmanager
    def writer(self) -> Iterator[Callable[[Part], None]]:
        """Give what writes a part into a journal of this run; each is on its way to the disk at once."""
        writer: pa.RecordBatchStreamWriter | None = None
        schema: pa.Schema | None = None

        def keep(part: Part) -> None:
            nonlocal writer, schema
            if writer is not None and part.batch.schema != schema:
                writer.close()
                writer = None
            if writer is None:
                schema = part.batch.schema
                number = 1 + max((int(path.suffixes[-2][1:]) for path in self._files()), default=0)
                writer = pa.ipc.new_stream(str(self._folder / f"{self._stem}.{number:04}.journal"), part.batch.schema)
            writer.write_batch(part.batch, {"part": json.dumps((part.name, part.stamp, part.unusable, part.about))})

        try:
            yield keep
        finally:
            if writer is not None:
                writer.close()

    def clear(self) -> None:
        """Remove them."""
        for path in self._files():
            path.unlink()


def _pool(processes: int) -> Executor:
    """Return what reads parts; for a single process that is this one, which has all it needs already."""
    if processes < 2:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _leave_stop_to_parent)


def _leave_stop_to_parent() -> None:
    """Ctrl-C reaches every process of a terminal; the one that was called ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

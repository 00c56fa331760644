"""Sorting more entries than there is memory for."""

import heapq
import json
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from model.archives.kinds import Kind

RUN = 250_000
"""Entries sorted in memory at once, some 80 MB; a hundred million make 400 runs, few enough to merge in one go."""


class Entry(NamedTuple):
    """A file of the source: its name relative to it, what it is read as, and how a changed one is told."""

    name: str
    kind: Kind
    size: int
    stamp: str


class SortedEntries:
    """Entries by name, as often as they are asked for; on disk where they are many.

    Attributes:
        pictures: how many of them are pictures.
        containers: how many hold pictures.
    """

    def __init__(self, entries: Iterable[Entry], run: int = RUN) -> None:
        self._runs: list[Path] = []
        self._memory: list[Entry] = []
        self.pictures = self.containers = 0
        entries = iter(entries)
        while chunk := sorted(islice(entries, run)):
            pictures = sum(entry.kind == "picture" for entry in chunk)
            self.pictures += pictures
            self.containers += len(chunk) - pictures
            if len(chunk) < run and not self._runs:
                self._memory = chunk
            else:
                self._runs.append(_write(self._folder / str(len(self._runs)), chunk))

    @cached_property
    def _folder(self) -> Path:
        """A folder for the runs, which goes with this object."""
        folder = Path(tempfile.mkdtemp(prefix="yolo9000-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def __iter__(self) -> Iterator[Entry]:
        return heapq.merge(self._memory, *map(_read, self._runs))


def _write(path: Path, entries: Iterable[Entry]) -> Path:
    # As ASCII: names need not be UTF-8, and JSON escapes the halves of surrogates that stand for such bytes.
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{json.dumps(entry)}\n" for entry in entries)
    return path


def _read(path: Path) -> Iterator[Entry]:
    with path.open(encoding="ascii") as file:
        yield from (Entry(*json.loads(line)) for line in file)

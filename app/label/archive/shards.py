"""The shards of a source: what is in each, kept in the output folder in pieces that can be read on their own."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from app.label.archive.sorting import Entry
from model.archives.kinds import Kind
from model.archives.locations import Location

FOLDER = "listing"
COUNTS = f"{FOLDER}/counts.parquet"
UNKNOWN = -1
"""How many pictures a shard has where only reading it all tells."""

PER_FILE = 200
"""Shards in a file of the listing, which is read whole for a single one of them too: some megabytes."""

_SCHEMA = pa.schema(
    [
        ("name", pa.binary()),  # names of files need not be UTF-8
        ("kind", pa.string()),
        ("size", pa.int64()),
        ("stamp", pa.string()),
        ("first", pa.int64()),
        ("groups", pa.int64()),
        ("offset", pa.int64()),
        ("count", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Shard:
    """A unit of work: some pictures, or a part of one container.

    Attributes:
        entries: the pictures, or the one container.
        first: of a container: the first row group of a Parquet file; the number of the first picture of an archive.
        groups: how many row groups.
        offset: the first row of a Parquet file; the byte of an archive where the first picture's header begins.
        count: how many pictures; UNKNOWN: up to the end of the container.
    """

    entries: tuple[Entry, ...]
    first: int = 0
    groups: int = 0
    offset: int = 0
    count: int = UNKNOWN

    @classmethod
    def of_pictures(cls, pictures: list[Entry]) -> Self:
        """Make a shard of single files."""
        return cls(tuple(pictures), count=len(pictures))

    @property
    def kind(self) -> Kind:
        """What it is read as."""
        return self.entries[0].kind


class ShardWriter:
    """Writes the shards, in a `with` block."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._temporary: Path | None = None
        self._writer: pq.ParquetWriter | None = None
        self.counts: list[int] = []
        """Pictures in each shard so far."""

    def __enter__(self) -> Self:
        return self

    def add(self, shard: Shard) -> None:
        """Write the next shard."""
        if self._writer is None:
            self._temporary = temporary_file(self._location)
            self._writer = pq.ParquetWriter(self._temporary, _SCHEMA, compression="zstd")
        entries = shard.entries
        same = len(entries)
        self._writer.write_table(
            pa.table(
                [
                    [name_to_bytes(entry.name) for entry in entries],
                    [entry.kind for entry in entries],
                    [entry.size for entry in entries],
                    [entry.stamp for entry in entries],
                    *([value] * same for value in (shard.first, shard.groups, shard.offset, shard.count)),
                ],
                schema=_SCHEMA,
            ),
            row_group_size=same,
        )
        self.counts.append(shard.count)
        if len(self.counts) % PER_FILE == 0:
            self._finish_file()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            if self._writer is not None and self._temporary is not None:
                self._writer.close()
                self._temporary.unlink(missing_ok=True)
            return
        self._finish_file()
        temporary = temporary_file(self._location)
        pq.write_table(pa.table({"count": pa.array(self.counts, pa.int64())}), temporary)
        self._location.put(temporary, COUNTS)

    def _finish_file(self) -> None:
        if self._writer is None or self._temporary is None:
            return
        self._writer.close()
        self._location.put(self._temporary, _file_of(len(self.counts) - 1))
        self._writer = None


class ShardReader:
    """Reads single shards."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._name = ""
        self._file: pq.ParquetFile | None = None

    def counts(self) -> NDArray[np.int64]:
        """Return how many pictures each shard has, or UNKNOWN."""
        with self._location.open(COUNTS) as file:
            counts: NDArray[np.int64] = pq.read_table(file)["count"].to_numpy()
        return counts

    def __getitem__(self, number: int) -> Shard:
        name = _file_of(number)
        if name != self._name or self._file is None:
            with self._location.open(name) as file:
                self._file, self._name = pq.ParquetFile(pa.BufferReader(file.read())), name
        return _shard(self._file.read_row_group(number % PER_FILE).to_pydict())

    def entries(self, shards: int) -> Iterator[Entry]:
        """Return everything the source had when it was listed, once each, though not by name."""
        last = None
        for number in range(shards):
            for entry in self[number].entries:
                if entry != last:
                    yield entry
                last = entry


def temporary_file(location: Location) -> Path:
    """Return a new name for a file on its way to a location; two processes never get the same."""
    return location.temporary() / f"{uuid.uuid4().hex}.part"


def put_text(location: Location, text: str, name: str) -> None:
    """Put a text file in its place, whole."""
    temporary = temporary_file(location)
    temporary.write_text(text, encoding="utf-8")
    location.put(temporary, name)


def name_to_bytes(name: str) -> bytes:
    """Return the bytes of a file's name, which need not be UTF-8."""
    return name.encode(errors="surrogateescape")


def name_to_text(name: str) -> str:
    r"""Return a name as proper text: bytes that are not UTF-8 are written as \xff."""
    return name_to_bytes(name).decode(errors="backslashreplace")


def _file_of(number: int) -> str:
    return f"{FOLDER}/{number // PER_FILE:06}.parquet"


def _shard(columns: dict[str, list[Any]]) -> Shard:
    names = (name.decode(errors="surrogateescape") for name in columns["name"])
    entries = zip(names, columns["kind"], columns["size"], columns["stamp"], strict=True)
    place = (columns[column][0] for column in ("first", "groups", "offset", "count"))
    return Shard(tuple(Entry(*entry) for entry in entries), *place)

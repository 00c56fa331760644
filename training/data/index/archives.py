"""Reading an archive into columns: its pictures, where they are, and what is labelled on them."""

import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
import pyarrow as pa

from model.archives import parquets
from model.archives.errors import ArchiveError
from model.archives.kinds import kind_of
from model.archives.locations import Found, Location, find, is_url, locate
from model.archives.tars import DamagedArchiveError, is_compressed
from model.pictures.errors import PictureError
from training.data.formats.detection_set import ClippedPicture, InvalidDatasetError, clip_picture
from training.data.formats.picture_headers import Size, inspect_file
from training.data.index.parts import Part
from training.data.index.stamps import digest_of
from training.data.pictures.columns import BOXED, SIZED, batch_of
from training.data.shards.errors import ShardError, read_patiently
from training.data.shards.samples import BoxRecord, Fault, Sample, archive_class, parquet_samples, tar_samples
from training.data.shards.shard import Shard

BYTES: Final = 64 << 20
"""Of pictures in a shard, about: few enough to keep some dozens of them, and enough to be read in one go."""
REMARKS: Final = 5
"""Boxes of an archive that are told of, of each kind."""

SPAN: Final = [("offset", pa.int64()), ("length", pa.int32())]
LABELS: Final = pa.schema([*SIZED, *SPAN])
BOXES: Final = pa.schema([*BOXED, *SPAN])


def is_shards(given: str) -> bool:
    """Tell by its name whether a set is tar archives or Parquet files: a URL, or what ends as they do."""
    return is_url(given) or kind_of(given) in {"tar", "parquet"}


def archives_of(source: str) -> tuple[str, dict[str, Found]]:
    """Return the folder of a set's archives, and them by name, in order.

    Raises:
        InvalidDatasetError: there are none, or they cannot be listed.
    """
    try:
        location, found = find(source)
        archives = {one.name: one for one in found if kind_of(one.name) in {"tar", "parquet"}}
    except (ArchiveError, OSError) as error:
        raise InvalidDatasetError(str(error)) from error
    if not archives:
        raise InvalidDatasetError(f"{source}: there are no tar archives or Parquet files")
    return location.url, dict(sorted(archives.items()))


def stamp_of(archives: Mapping[str, Found]) -> str:
    """Return a stamp of archives."""
    return digest_of(f"{one.name}|{one.size}|{one.stamp}" for one in archives.values())


def read_archive(url: str, picture_column: str | None, name: str, known: str | None) -> Part | None:
    """Read an archive; see `training.data.index.parts.ReadPart`.

    Raises:
        InvalidDatasetError: a Parquet file has no column of pictures.
    """
    location = locate(url)
    found = location.look(name)
    if found is None:
        raise InvalidDatasetError(f"{url}/{name}: is gone")
    stamp = stamp_of({name: found})
    if stamp == known:
        return None
    try:
        rows = read_patiently(location, name, lambda: _rows_of(location, name, picture_column))
    except (parquets.UnusableColumnsError, ShardError) as error:
        told = str(error) if isinstance(error, ShardError) else f"{url}/{name}: {error}"
        raise InvalidDatasetError(told) from error
    return rows.part(name, stamp, found.stamp)


def _rows_of(location: Location, name: str, picture_column: str | None) -> "_Rows":
    rows = _Rows(name)
    try:
        with location.open(name) as file:
            if kind_of(name) == "tar":
                rows.add(tar_samples(file, name), Shard(file=name, kind="tar" if is_compressed(name) else "bytes"))
            else:
                for part in _row_groups(file):
                    place = {"first": part.first, "count": part.groups, "row": part.row}
                    shard = Shard(file=name, kind="parquet", picture_column=picture_column, **place)
                    rows.add(parquet_samples(file, part, picture_column), shard)
    except (DamagedArchiveError, parquets.UnusableFileError) as error:
        rows.unusable.append(f"{name} ({error}; what is behind its first {len(rows.rows)} pictures is lost)")
    return rows


class _Row(NamedTuple):
    """A picture of an archive: its name and place, its size, and what is labelled on it."""

    name: str
    offset: int
    length: int
    size: Size
    label: str
    boxes: tuple[BoxRecord, ...] | None


class _Rows:
    """Gathers the pictures of an archive as columns."""

    def __init__(self, archive: str) -> None:
        self._archive, self._own_class = archive, archive_class(archive)
        self._shards: list[tuple[Shard, int, int]] = []  # each with its first row, and the one behind its last
        self.rows: list[_Row] = []
        self.unusable: list[str] = []

    def add(self, samples: Iterable[Sample | Fault], shard: Shard) -> None:
        """Add what is in a shard; one of plain bytes is cut where it is large enough."""
        first = len(self.rows)
        try:
            for sample in samples:
                row = self._row(sample)
                if row is None:
                    continue
                if shard.kind == "bytes" and len(self.rows) > first and row.offset - self.rows[first].offset >= BYTES:
                    self._finish(shard, first)
                    first = len(self.rows)
                self.rows.append(row)
        finally:
            self._finish(shard, first)

    def part(self, name: str, stamp: str, of_archive: str) -> Part:
        """Return all of it."""
        boxed = any(row.boxes is not None for row in self.rows)
        every = self.rows
        if boxed:  # what nobody has looked at is not taken for a picture without objects
            self.unusable += [f"{name}/{row.name} (no `annotations`)" for row in every if row.boxes is None]
            self.rows = [row for row in every if row.boxes is not None]
        shards = [
            shard.model_copy(update={"rows": sum(not boxed or row.boxes is not None for row in every[first:end])})
            for shard, first, end in self._shards
        ]
        about = {"shards": [one.model_dump(exclude_defaults=True) for one in shards], "stamp": of_archive}
        batch, more = self._boxed() if boxed else self._labelled()
        return Part(name, stamp, batch, tuple(self.unusable), {"boxed": boxed, **about, **more})

    def _row(self, sample: Sample | Fault) -> _Row | None:
        if isinstance(sample, Fault):
            self.unusable.append(f"{self._archive}/{sample.name} ({sample.reason})")
            return None
        try:
            size = inspect_file(io.BytesIO(sample.data))
        except PictureError as error:
            self.unusable.append(f"{self._archive}/{sample.name} ({error})")
            return None
        label = self._own_class if sample.label is None else sample.label
        return _Row(sample.name, sample.offset, len(sample.data), size, label, sample.boxes)

    def _finish(self, shard: Shard, first: int) -> None:
        rows = self.rows[first:]
        if rows:
            place = {}
            if shard.kind == "bytes":
                place = {"first": rows[0].offset, "count": rows[-1].offset + rows[-1].length - rows[0].offset}
            self._shards.append((shard.model_copy(update=place), first, len(self.rows)))

    def _labelled(self) -> tuple[pa.RecordBatch, dict[str, Any]]:
        classes = {label: number for number, label in enumerate(dict.fromkeys(row.label for row in self.rows))}
        columns = [
            [os.fsencode(row.name) for row in self.rows],
            [classes[row.label] for row in self.rows],
            [row.size.width for row in self.rows],
            [row.size.height for row in self.rows],
            [row.offset for row in self.rows],
            [row.length for row in self.rows],
        ]
        batch = pa.record_batch([pa.array(one, kind.type) for one, kind in zip(columns, LABELS, strict=True)], LABELS)
        return batch, {"classes": list(classes), "clipped": 0, "dropped": 0, "told": []}

    def _boxed(self) -> tuple[pa.RecordBatch, dict[str, Any]]:
        names = dict.fromkeys(str(box.category) for row in self.rows for box in row.boxes or ())
        classes = {name: number for number, name in enumerate(names)}
        clipped = [_clipped(row, classes) for row in self.rows]
        pictures = batch_of([one.picture for one in clipped], Path())
        spans = [
            pa.array([row.offset for row in self.rows], pa.int64()),
            pa.array([row.length for row in self.rows], pa.int32()),
        ]
        cut, dropped = ([told for one in clipped for told in getattr(one, kind)] for kind in ("clipped", "dropped"))
        told = [f"{self._archive}/{one}" for one in (*dropped[:REMARKS], *cut[:REMARKS])]
        about = {"classes": list(classes), "clipped": len(cut), "dropped": len(dropped), "told": told}
        return pa.record_batch([*pictures.columns, *spans], BOXES), about


def _clipped(row: _Row, classes: Mapping[str, int]) -> ClippedPicture:
    boxes = row.boxes or ()
    corners = np.array([box.bbox for box in boxes], np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return clip_picture(
        Path(row.name),
        row.size,
        corners,
        np.array([classes[str(box.category)] for box in boxes], np.int32),
        [f"{row.name}, box {number}" for number in range(1, len(boxes) + 1)],
        crowd=np.array([box.iscrowd for box in boxes], bool),
    )


def _row_groups(file: BinaryIO) -> list[parquets.RowGroups]:
    """Return a Parquet file's row groups, as many together as make a shard."""
    parquet = parquets.opened(file)
    sizes = [parquet.metadata.row_group(number).total_byte_size for number in range(parquet.metadata.num_row_groups)]
    most = max(1, sum(sizes) // BYTES)
    return list(parquets.row_groups(parquet, -(-parquet.metadata.num_rows // most)))

"""The results of a shard as two Parquet files: a row for each detection, and a row for each picture.

The detections are put first and the pictures last, so a shard whose pictures are there is done.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.label.archive.shards import temporary_file
from model.answers.detections import Detections
from model.archives.locations import Location
from model.wordtree import WordTree

DETECTIONS, PICTURES = "detections", "pictures"
"""The folders of the files."""

ID_BITS = 32
"""A picture's id is its shard's number, and in as many low bits its place in the shard."""

FLUSH = 4096
"""Pictures, or detections, held before they are written; a shard may be a whole archive."""

ROWS = 10_000
"""Rows read at once."""

_STEP = pa.struct([("wnid", pa.string()), ("name", pa.string()), ("probability", pa.float32())])

DETECTION_SCHEMA = pa.schema(
    [
        pa.field("picture_id", pa.int64(), nullable=False),
        pa.field("picture", pa.string(), nullable=False),
        *(pa.field(edge, pa.float32(), nullable=False) for edge in ("x1", "y1", "x2", "y2")),
        pa.field("wnid", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("objectness", pa.float32(), nullable=False),
        pa.field("path", pa.list_(_STEP), nullable=False),
    ]
)

PICTURE_SCHEMA = pa.schema(
    [
        pa.field("picture_id", pa.int64(), nullable=False),
        pa.field("picture", pa.string(), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("detections", pa.int32(), nullable=False),
        pa.field("failure", pa.string()),
    ]
)


@dataclass(frozen=True)
class Summary:
    """What came of a shard."""

    shard: int
    pictures: int
    failures: int
    detections: int


def part_name(folder: str, shard: int) -> str:
    """Return the name of a shard's file in DETECTIONS or PICTURES."""
    return f"{folder}/{shard:08}.parquet"


def rows(location: Location, folder: str, shard: int, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a shard's file."""
    with location.open(part_name(folder, shard)) as file:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=ROWS, columns=columns):
            yield from batch.to_pylist()


def shard_of(name: str) -> int | None:
    """Return the number of the shard whose file has this name; None for other files."""
    stem, _, ending = name.partition(".")
    return int(stem) if ending == "parquet" and stem.isascii() and stem.isdigit() else None


class ShardTables:
    """Takes what was found in the pictures of one shard, in their order, and writes it, in a `with` block."""

    def __init__(self, location: Location, shard: int, tree: WordTree) -> None:
        self._location = location
        self._shard = shard
        self._wnids, self._names = pa.array(tree.wnids), pa.array(tree.names)
        self._files: dict[str, Path] = {}
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._pictures: list[tuple[int, str, int | None, int | None, int, str | None]] = []
        self._found: list[tuple[int, str, Detections]] = []
        self._held = 0
        self._counts = {"pictures": 0, "failures": 0, "detections": 0}

    def __enter__(self) -> Self:
        for folder, schema in ((DETECTIONS, DETECTION_SCHEMA), (PICTURES, PICTURE_SCHEMA)):
            self._files[folder] = temporary_file(self._location)
            self._writers[folder] = pq.ParquetWriter(self._files[folder], schema, compression="zstd")
        return self

    def add(self, name: str, width: int, height: int, found: Detections) -> None:
        """Take what was found in the next picture."""
        number = self._next(name, width, height, len(found), None)
        if len(found):
            self._found.append((number, name, found))
            self._held += len(found)
            self._counts["detections"] += len(found)
        self._flush(FLUSH)

    def add_failure(self, name: str, reason: str) -> None:
        """Take why nothing could be found in the next picture."""
        self._next(name, None, None, 0, reason)
        self._counts["failures"] += 1
        self._flush(FLUSH)

    def commit(self) -> Summary:
        """Put the files where they belong."""
        self._flush(0)
        for folder in (DETECTIONS, PICTURES):
            self._writers[folder].close()
            self._location.put(self._files[folder], part_name(folder, self._shard))
        return Summary(self._shard, **self._counts)

    def __exit__(self, *_: object) -> None:
        for folder, file in self._files.items():
            self._writers[folder].close()
            file.unlink(missing_ok=True)

    def _next(self, name: str, width: int | None, height: int | None, found: int, failure: str | None) -> int:
        number = (self._shard << ID_BITS) + self._counts["pictures"]
        self._counts["pictures"] += 1
        self._pictures.append((number, name, width, height, found, failure))
        return number

    def _flush(self, most: int) -> None:
        if len(self._pictures) > most and self._pictures:
            columns = [list(column) for column in zip(*self._pictures, strict=True)]
            self._writers[PICTURES].write_table(pa.table(columns, schema=PICTURE_SCHEMA))
            self._pictures = []
        if self._held > most and self._held:
            self._writers[DETECTIONS].write_table(self._detections())
            self._found, self._held = [], 0

    def _detections(self) -> pa.Table:
        found = [detections for _, _, detections in self._found]
        lengths = [len(detections) for detections in found]
        boxes = np.concatenate([detections.boxes for detections in found])
        nodes = np.concatenate([detections.nodes for detections in found])
        # The paths are as deep as the deepest of their picture, so they do not fit into one array.
        ends = np.cumsum(np.concatenate([[0], *(detections.lengths for detections in found)]), dtype=np.int32)
        steps = np.concatenate([detections.paths[detections.paths >= 0] for detections in found])
        chances = np.concatenate([detections.probabilities[detections.paths >= 0] for detections in found])
        owner = pa.array(np.repeat(np.arange(len(found)), lengths))
        path: list[Any] = [self._wnids.take(pa.array(steps)), self._names.take(pa.array(steps)), pa.array(chances)]
        return pa.table(
            [
                pa.array(np.repeat([number for number, _, _ in self._found], lengths)),
                pa.array([name for _, name, _ in self._found]).take(owner),
                *(pa.array(np.ascontiguousarray(edge)) for edge in boxes.T),
                self._wnids.take(pa.array(nodes)),
                self._names.take(pa.array(nodes)),
                pa.array(np.concatenate([detections.scores for detections in found])),
                pa.array(np.concatenate([detections.objectness for detections in found])),
                pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(path, fields=list(_STEP))),
            ],
            schema=DETECTION_SCHEMA,
        )

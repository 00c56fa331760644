"""Pictures with what was found in them, one at a time, from the Parquet files of the shards."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from app.label.archive.locations import Location
from app.label.output.tables import DETECTIONS, PICTURES, part_name

ROWS = 10_000
"""Rows read at once."""


class Labelled(NamedTuple):
    """A picture that could be read.

    Attributes:
        identity: its picture_id.
        name: as `label` calls it.
        width, height: pixels.
        found: the rows of its detections.
    """

    identity: int
    name: str
    width: int
    height: int
    found: Sequence[dict[str, Any]]


def labelled(location: Location, shards: Iterable[int]) -> Iterator[Labelled]:
    """Yield the pictures of shards, in their order, without those that could not be read."""
    for shard in shards:
        groups = groupby(rows(location, DETECTIONS, shard), itemgetter("picture_id"))
        owner, found = next(groups, (None, iter(())))
        for row in rows(location, PICTURES, shard):
            own: Sequence[dict[str, Any]] = ()
            if row["picture_id"] == owner:
                own = list(found)
                owner, found = next(groups, (None, iter(())))
            if row["failure"] is None:
                yield Labelled(row["picture_id"], row["picture"], row["width"], row["height"], own)


def rows(location: Location, folder: str, shard: int, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a shard's file."""
    with location.open(part_name(folder, shard)) as file:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=ROWS, columns=columns):
            yield from batch.to_pylist()

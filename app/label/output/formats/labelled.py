"""Pictures with what was found in them, one at a time, from the Parquet files of the shards."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from app.label.output.tables import DETECTIONS, PICTURES, rows
from model.archives.locations import Location


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

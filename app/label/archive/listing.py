"""Listing a source: everything in it in the order of names, and cut into shards."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from app.label.archive.shards import Shard, name_to_text
from app.label.archive.sorting import Entry, SortedEntries
from model.archives import parquets
from model.archives.errors import SourceError
from model.archives.kinds import kind_of
from model.archives.locations import Found, Location, find
from model.archives.tars import DamagedArchiveError, TarPictures, is_compressed

MOST_IN_SHARD = 512
"""Pictures in a shard where no number is asked for: what a process that is killed has to do again, half a minute's
work, against files that should not be too small."""

SHARDS_PER_PROCESS = 8
"""Of a small source more shards are made, so that all processes have work to the end."""


@dataclass(frozen=True)
class Listed:
    """A source as it is now.

    Attributes:
        location: the folder the entries' names are relative to.
        entries: what it has.
        passed_over: how many files are neither pictures nor hold any.
    """

    location: Location
    entries: SortedEntries
    passed_over: int

    def digest(self) -> str:
        """Return a digest of every entry's name, size and stamp."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(json.dumps(entry).encode("ascii"))
        return f"sha256:{digest.hexdigest()}"


def list_source(source: str, *, every_file: bool, output: Location, progress: Callable[[int], object]) -> Listed:
    """Find everything in a source.

    Args:
        source: see `model.archives.locations.find`.
        every_file: take files for pictures whatever their names.
        output: where results are written, which may be within the source and is no part of it.
        progress: told of each file.

    Raises:
        SourceError: it is not there, cannot be listed, or holds nothing that could be labelled.
    """
    location, found = find(source)
    passed_over = 0
    results = output.url.removeprefix(f"{location.url.rstrip('/')}/") + "/"

    def entries() -> Iterator[Entry]:
        nonlocal passed_over
        for file in found:
            if file.name.startswith(results):
                continue
            progress(1)
            entry = _entry(file, every_file=every_file)
            if entry is None:
                passed_over += 1
            else:
                yield entry

    kept = SortedEntries(entries())
    if not kept.pictures and not kept.containers:
        others = f" ({passed_over} files are of other kinds; --every-file tries them)" if passed_over else ""
        raise SourceError(f"{source}: no pictures, tar archives or Parquet files found{others}")
    return Listed(location, kept, passed_over)


def default_shard_size(pictures: int, processes: int) -> int:
    """Return how many pictures to put in a shard.

    Args:
        pictures: how many there are as single files; 0 where they are in containers.
        processes: how many will work.
    """
    if not pictures:
        return MOST_IN_SHARD
    return max(1, min(MOST_IN_SHARD, -(-pictures // (SHARDS_PER_PROCESS * processes))))


def shards_of(
    listed: Listed, size: int, picture_column: str | None, key_column: str | None, progress: Callable[[int], object]
) -> Iterator[Shard]:
    """Cut a source into shards.

    A container that is damaged is a shard too: whoever labels it finds the same and records it.

    Args:
        listed: the source.
        size: most pictures of a shard, where it can be kept to.
        picture_column, key_column: see `model.archives.parquets.columns_of`.
        progress: told how many pictures were listed.

    Raises:
        SourceError: a Parquet file has no such columns.
    """
    waiting: list[Entry] = []
    for entry in listed.entries:
        if entry.kind == "picture":
            waiting.append(entry)
            if len(waiting) == size:
                yield Shard.of_pictures(waiting)
                progress(size)
                waiting = []
            continue
        cut = _tar_shards if entry.kind == "tar" else _parquet_shards(picture_column, key_column)
        for shard in cut(entry, listed.location, size):
            yield shard
            progress(max(shard.count, 0))
    if waiting:
        yield Shard.of_pictures(waiting)


def first_difference(before: Iterable[Entry], now: Iterable[Entry]) -> str:
    """Describe the first way in which a source differs from what it was; both are by name."""
    for old, new in itertools.zip_longest(before, now):
        if old == new:
            continue
        if old is None or (new is not None and new.name < old.name):
            return f"{name_to_text(new.name)} is new"
        if new is None or old.name < new.name:
            return f"{name_to_text(old.name)} is gone"
        return f"{name_to_text(old.name)} has changed"
    return "only the order differs"


def _entry(file: Found, *, every_file: bool) -> Entry | None:
    kind = kind_of(file.name, every_file=every_file)
    return None if kind is None else Entry(file.name, kind, file.size, file.stamp)


def _tar_shards(entry: Entry, location: Location, size: int) -> Iterator[Shard]:
    """Cut an archive where its headers are cheap to read: not through a network, and not through a compression."""
    if not location.local or is_compressed(entry.name):
        yield Shard((entry,))
        return
    first = offset = seen = 0
    try:
        with location.open(entry.name) as file:
            pictures = TarPictures(file, entry.name)
            for _ in pictures:
                if seen - first == size:
                    yield Shard((entry,), first, 0, offset, size)
                    first, offset = seen, pictures.offset
                seen += 1
        yield Shard((entry,), first, 0, offset, seen - first)
    except (DamagedArchiveError, OSError):
        # It goes on to the end, and so whoever labels it meets the damage too.
        yield Shard((entry,), first, 0, offset)


def _parquet_shards(picture_column: str | None, key_column: str | None) -> Callable[..., Iterator[Shard]]:
    def cut(entry: Entry, location: Location, size: int) -> Iterator[Shard]:
        try:
            with location.open(entry.name) as file:
                opened = parquets.opened(file)
                if opened.metadata.num_rows:
                    parquets.columns_of(opened.schema_arrow, picture_column, key_column)
                groups = list(parquets.row_groups(opened, size))
        except parquets.UnusableColumnsError as error:
            raise SourceError(f"{name_to_text(entry.name)}: {error}; nothing was labelled") from error
        except (parquets.UnusableFileError, OSError):
            yield Shard((entry,))
            return
        for part in groups or [parquets.RowGroups(0, 0, 0, 0)]:
            yield Shard((entry,), part.first, part.groups, part.row, part.rows)

    return cut

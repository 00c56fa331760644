"""The pictures of a shard, one after the other, wherever they lie."""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from app.label.archive.shards import UNKNOWN, Shard, name_to_text
from app.label.archive.sorting import Entry
from app.label.errors import WorkError
from model.archives import parquets
from model.archives.locations import Location
from model.archives.patience import FINAL, patiently, words
from model.archives.tars import DamagedArchiveError, TarPictures

Result = TypeVar("Result")


class UnreadableError(ValueError):
    """A picture's bytes cannot be had; the message says why."""


@dataclass(frozen=True)
class Item:
    """A picture, or what should have been one.

    Attributes:
        name: what the results call it.
        load: gives its bytes, on whichever thread, or raises UnreadableError.
    """

    name: str
    load: Callable[[], bytes]


@dataclass(frozen=True)
class Reader:
    """Reads the shards of a source.

    Attributes:
        location: the folder the entries' names are relative to.
        max_bytes: most bytes of a picture.
        picture_column, key_column: see `model.archives.parquets.columns_of`.
    """

    location: Location
    max_bytes: int
    picture_column: str | None = None
    key_column: str | None = None

    def items(self, shard: Shard) -> Iterator[Item]:
        """Go through the pictures of a shard.

        What cannot be read is an item as well, whose `load` says why; so each picture of the source is told of. Only
        the pictures of an archive behind a damage cannot be counted, and are told of together.

        Raises:
            WorkError: the disk or the network fails, and goes on failing.
        """
        if shard.kind == "picture":
            return (self._file(entry) for entry in shard.entries)
        return self._tar(shard) if shard.kind == "tar" else self._parquet(shard)

    def _file(self, entry: Entry) -> Item:
        return Item(name_to_text(entry.name), partial(self._load_file, entry))

    def _load_file(self, entry: Entry) -> bytes:
        self._check_size(entry.size)
        data = self._patiently(entry.name, partial(self._read_file, entry.name))
        self._check_size(len(data))  # it may have grown since it was listed
        return data

    def _read_file(self, name: str) -> bytes:
        with self.location.open(name) as file:
            return file.read(self.max_bytes + 1)

    def _tar(self, shard: Shard) -> Iterator[Item]:
        (entry,) = shard.entries
        name = name_to_text(entry.name)
        given = 0
        if shard.count == 0:
            return
        try:
            with self._patiently(entry.name, partial(self.location.open, entry.name)) as file:
                pictures = TarPictures(file, entry.name, shard.offset)
                for member in pictures:
                    yield self._member(name, pictures, member)
                    given += 1
                    if given == shard.count:
                        return
        except (DamagedArchiveError, UnreadableError) as error:
            told = f"{error}; the pictures behind the first {shard.first + given} are lost"
            yield Item(name, partial(_refuse, told))
        except OSError as error:
            if not self.location.local:
                raise self._failed(entry.name, error) from error
            yield Item(name, partial(_refuse, f"it cannot be read on: {words(error)}"))

    def _member(self, archive: str, pictures: TarPictures, member: tarfile.TarInfo) -> Item:
        name = f"{archive}/{name_to_text(member.name)}"
        if not member.isreg():
            return Item(name, partial(_refuse, "it is no file but a link or a device"))
        try:
            self._check_size(member.size)
        except UnreadableError as error:
            return Item(name, partial(_refuse, str(error)))
        data = pictures.read(member)
        return Item(name, lambda: data)

    def _parquet(self, shard: Shard) -> Iterator[Item]:
        (entry,) = shard.entries
        name = name_to_text(entry.name)
        part = parquets.RowGroups(shard.first, shard.groups, shard.offset, shard.count)
        row = part.row
        try:
            with self._patiently(entry.name, partial(self.location.open, entry.name)) as file:
                opened = parquets.opened(file)
                columns = parquets.columns_of(opened.schema_arrow, self.picture_column, self.key_column)
                if shard.count == UNKNOWN:  # it could not be read when it was listed
                    part = parquets.all_row_groups(opened)
                for found in parquets.rows_of(opened, part, columns):
                    key = f"{name}#{row}" if found.key is None else found.key
                    for number, data in enumerate(found.pictures):
                        yield Item(f"{key}/{number}" if found.several else key, partial(self._row, data))
                    if not found.pictures:
                        yield Item(key, partial(_refuse, "the row has no pictures"))
                    row += 1
        except (parquets.UnusableFileError, parquets.UnusableColumnsError, UnreadableError) as error:
            if part.rows == UNKNOWN:
                yield Item(name, partial(_refuse, str(error)))
            for lost in range(row, part.row + part.rows):
                yield Item(f"{name}#{lost}", partial(_refuse, str(error)))

    def _row(self, data: bytes | None) -> bytes:
        if data is None:
            raise UnreadableError("the row has no bytes")
        self._check_size(len(data))
        return data

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise UnreadableError(f"it has {size} bytes, more than the limit of {self.max_bytes}")

    def _patiently(self, name: str, read: Callable[[], Result]) -> Result:
        """Try again where a network fails; a disk's answer is final."""
        try:
            return patiently(self.location, read)
        except FINAL as error:
            raise UnreadableError(f"it cannot be read: {words(error)}") from error
        except Exception as error:
            if self.location.local and isinstance(error, OSError):
                raise UnreadableError(f"it cannot be read: {words(error)}") from error
            raise self._failed(name, error) from error

    def _failed(self, name: str, error: Exception) -> WorkError:
        return WorkError(f"{self.location.url}/{name_to_text(name)} cannot be read: {words(error)}")


def _refuse(reason: str) -> bytes:
    raise UnreadableError(reason)

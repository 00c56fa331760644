"""A zip with a file for each picture: one object to write, to copy and to import, and all of it or nothing."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from app.label.archive.shards import temporary_file
from model.archives.locations import Location

NAMED_AT_MOST = 3
PERMISSIONS = 0o100644  # of a file for everybody to read


class LeftOut:
    """Pictures that a format has no place for.

    Args:
        name: of the file that lacks them.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._first: list[str] = []

    def add(self, picture: str, reason: str) -> None:
        """Leave a picture out."""
        self._count += 1
        if len(self._first) < NAMED_AT_MOST:
            self._first.append(f"{picture!r} ({reason})")

    def sentences(self) -> list[str]:
        """Say which were left out; nothing if none was."""
        if not self._count:
            return []
        more = f" and {self._count - len(self._first)} more" if self._count > len(self._first) else ""
        return [f"{self._name} lacks {self._count} pictures: {', '.join(self._first)}{more}"]


def why_unusable(name: str) -> str | None:
    """Return why a picture's name is of no use as a place in a folder or as a line of a list; None if it is."""
    place = PurePosixPath(name)
    if not place.name:  # a Parquet file's column of names may hold anything
        return "it has no name"
    if not name.isprintable():
        return "its name has characters that cannot be shown"
    if place.is_absolute() or ".." in place.parts:
        return "its name leads out of the folder"
    if "\\" in name:
        return "its name has a backslash"
    return None


class PictureFiles:
    """Takes a text file for each picture.

    Args:
        archive: that they go into.
        name: of its file.

    Attributes:
        left_out: the pictures that it has no place for.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.left_out = LeftOut(name)
        self._archive = archive
        self._taken: set[str] = set()

    def place(self, picture: str, folder: str, suffix: str) -> str | None:
        """Return where the file of a picture goes, its own name with another suffix; None if it cannot go anywhere."""
        if (reason := why_unusable(picture)) is not None:
            self.left_out.add(picture, reason)
            return None
        target = f"{folder}/{PurePosixPath(picture).with_suffix(suffix)}"
        if target in self._taken:
            self.left_out.add(picture, "another has the same name but for its suffix")
            return None
        self._taken.add(target)
        return target

    def write(self, name: str, text: str) -> None:
        """Add a file; whatever the clock says, the same results make the same archive."""
        entry = zipfile.ZipInfo(name)
        entry.external_attr = PERMISSIONS << 16
        self._archive.writestr(entry, text, zipfile.ZIP_DEFLATED)


@contextmanager
def picture_files(location: Location, name: str) -> Iterator[PictureFiles]:
    """Give what takes a file for each picture; the archive gets its name when all are in it."""
    temporary = temporary_file(location)
    with zipfile.ZipFile(temporary, "w") as archive:
        yield PictureFiles(archive, name)
    location.put(temporary, name)

"""Tar archives as they may come: read one after the other, never unpacked, and trusted in nothing.

No member is ever written anywhere, so names such as `../x.jpg` are only names; links are not followed.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Self

from model.pictures.suffixes import has_picture_suffix

COMPRESSIONS: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": gzip.open,
    ".tgz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""What opens an archive, by the ending of its name; others are not compressed."""

MAX_HEADER = 1_000_000
"""Most bytes of a header: one for a long name says itself how long it is, and is read in one piece."""

DAMAGES = (
    tarfile.TarError,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    OverflowError,
    RecursionError,  # headers for headers for headers
)
"""What reading a damaged archive raises; another OSError comes from the disk or the network."""


class DamagedArchiveError(ValueError):
    """An archive cannot be read on; the message says where and why."""


def is_compressed(name: str) -> bool:
    """Tell whether an archive is compressed, so that it can be read only from its beginning."""
    return name.lower().endswith(tuple(COMPRESSIONS))


class TarPictures:
    """The pictures of an archive, or other members, in their order.

    Iterating gives each picture's header, from the one at `offset` on. The picture's bytes can be read until the next
    header is asked for.
    """

    def __init__(
        self, file: BinaryIO, name: str, offset: int = 0, wanted: Callable[[str], bool] = has_picture_suffix
    ) -> None:
        """Begin to read.

        Args:
            file: the archive, opened.
            name: its name, whose ending tells how it is compressed.
            offset: where to begin, as `offset` said before.
            wanted: tells by their names which members to give.
        """
        ending = name.lower()[name.rfind(".") :]
        opener = COMPRESSIONS.get(ending)
        self._file = _Guarded(file if opener is None else opener(file))
        self._first, self._wanted = offset, wanted
        self._tar: tarfile.TarFile | None = None
        self.offset = offset
        """Where the header of the picture last given begins."""

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Go through the pictures.

        Raises:
            DamagedArchiveError: the archive is damaged or cut short at some place; nothing after it can be found.
            OSError: the disk or the network failed.
        """
        with _damage_told():
            yield from self._pictures()

    def read(self, member: tarfile.TarInfo) -> bytes:
        """Return the bytes of the picture last given, which must be a regular file.

        Raises:
            DamagedArchiveError: the archive is damaged in it, or ends.
            OSError: the disk or the network failed.
        """
        assert self._tar is not None
        with _damage_told(), self._file.allowing(member.size):
            opened = self._tar.extractfile(member)
            return b"" if opened is None else opened.read()

    def _pictures(self) -> Iterator[tarfile.TarInfo]:
        self._file.seek(self._first)
        self._tar = tar = tarfile.TarFile(fileobj=self._file, mode="r", errorlevel=1)  # type: ignore[arg-type]
        reached = -1
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # it would keep every header
            if tar.offset <= reached:  # a size may be negative, and then this would go on for ever
                raise DamagedArchiveError(f"the archive is damaged: it goes back at byte {reached}")
            reached = tar.offset
            if not member.isdir() and self._wanted(member.name):
                self.offset = member.offset
                yield member
        # It takes a header that makes no sense for the end.
        self._file.seek(tar.offset)
        rest = self._file.read(tarfile.BLOCKSIZE)
        if not rest:
            raise DamagedArchiveError("the archive is cut short: it has no end mark")
        if rest.strip(b"\0"):
            raise DamagedArchiveError(f"the archive is damaged at byte {tar.offset}: there is no header")


@contextmanager
def _damage_told() -> Iterator[None]:
    """Make one error of all that a damaged archive can raise."""
    try:
        yield
    except DamagedArchiveError:
        raise
    except DAMAGES as error:
        reason = str(error) or type(error).__name__
        raise DamagedArchiveError(f"the archive is damaged or cut short ({reason})") from error


class _Guarded:
    """A file of which no more than some bytes are read at once, whatever an archive's headers say."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._most = MAX_HEADER
        self.seek, self.tell = file.seek, file.tell
        self.name, self.mode = None, "rb"

    def read(self, size: int) -> bytes:
        if size > self._most:
            raise DamagedArchiveError(f"the archive is damaged: a header claims to have {size} bytes")
        return self._file.read(size)

    def allowing(self, size: int) -> Self:
        """Allow more for a picture, in a `with` block."""
        self._most = max(size, MAX_HEADER)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._most = MAX_HEADER

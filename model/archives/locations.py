"""Folders to read from and to write to: on this machine, or behind fsspec (s3://, gs://, ...)."""

import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from model.archives.errors import OutputError, SourceError
from model.archives.extras import library
from model.files.locks import locked

_URL = re.compile(r"[a-z][a-z0-9+.-]*(://|::)")
_MAGIC = re.compile(r"[*?\[]")
_STAMPS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "created")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_TEMPORARY = "tmp"


class Found(NamedTuple):
    """A file: its name relative to the folder, its size in bytes, and what changes when it is replaced."""

    name: str
    size: int
    stamp: str


class Location(Protocol):
    """A folder.

    Attributes:
        url: what to call it by, the same on every machine that has it.
        local: whether it lies in this machine's own file system.
    """

    url: str
    local: bool

    def is_folder(self) -> bool:
        """Tell whether it is there; object stores know folders only by what lies in them."""

    def walk(self) -> Iterator[Found]:
        """Find the files in the folder and below; links to folders are not followed."""

    def match(self, pattern: str) -> Iterator[Found]:
        """Find the files that a glob pattern, relative to the folder, matches; `**` is any number of folders."""

    def look(self, name: str) -> Found | None:
        """Describe one file; None where there is none."""

    def open(self, name: str) -> BinaryIO:
        """Open a file to read."""

    def names(self, folder: str) -> Iterator[str]:
        """Return the names of what lies directly in a folder within; none where it does not exist."""

    def put(self, file: Path, name: str) -> None:
        """Move a file of `temporary` here: readers find all of it or nothing."""

    def temporary(self) -> Path:
        """Return a folder of this machine for files on their way to `put`."""


def is_url(text: str) -> bool:
    """Tell whether a location is for fsspec."""
    return _URL.match(text) is not None


def locate(text: str) -> Location:
    """Return the folder that a path or URL names.

    Raises:
        MissingExtraError: what speaks its protocol is not installed.
        SourceError: there is no such protocol.
    """
    if not is_url(text):
        return LocalFolder(Path(text))
    protocol = text.partition(":")[0]
    extra = _EXTRAS.get(protocol, "s3")
    fsspec = library("fsspec", extra, f"{protocol}://")
    try:
        # What is listed is not remembered: other processes write there meanwhile.
        system, root = fsspec.core.url_to_fs(text, use_listings_cache=False)
    except ImportError as error:
        raise library_error(protocol, extra, error) from error
    except ValueError as error:
        raise SourceError(f"{text}: {error}") from error
    return RemoteFolder(system, root, protocol)


def library_error(protocol: str, extra: str, error: ImportError) -> SourceError:
    """Say which extra brings what a protocol needs."""
    hint = f": pip install 'yolo9000[{extra}]'" if protocol in _EXTRAS else ""
    return SourceError(f"{protocol}:// needs a library that is not installed{hint} ({error})")


def find(source: str) -> tuple[Location, Iterator[Found]]:
    """Return a source's folder and its files.

    Args:
        source: a folder, a file, or a glob pattern, here or as a URL.

    Raises:
        SourceError: it is not there.
    """
    whole = locate(source)
    if whole.is_folder():
        return whole, whole.walk()
    head, slash, name = source.rpartition("/")
    if not head.endswith(":/"):  # s3://bucket lies in nothing
        parent = locate(head or slash or ".")
        alone = parent.look(name)
        if alone is not None:
            return parent, iter([alone])
    if _MAGIC.search(source):
        fixed, pattern = _split_pattern(source)
        folder = locate(fixed)
        return folder, folder.match(pattern)
    raise SourceError(f"{source}: no such folder or file, and no file that matches")


def _split_pattern(source: str) -> tuple[str, str]:
    """Split a glob pattern into the folder above its first magic part, and the rest."""
    parts = source.split("/")
    first = next(number for number, part in enumerate(parts) if _MAGIC.search(part))
    fixed = "/".join(parts[:first])
    return fixed or ("/" if source.startswith("/") else "."), "/".join(parts[first:])


class LocalFolder:
    """A folder of this machine's file system, or one mounted there."""

    local = True

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.url = str(self.root)

    def is_folder(self) -> bool:
        """Tell whether it is there."""
        return self.root.is_dir()

    def walk(self) -> Iterator[Found]:
        """Find the files, one folder after the other."""
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(self.root / folder) as entries:
                    for entry in entries:
                        name = f"{folder}{entry.name}"
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(f"{name}/")
                        elif (found := self.look(name)) is not None:
                            yield found
            except OSError as error:
                raise SourceError(f"{error.filename}: {error.strerror}; it cannot be listed") from error

    def match(self, pattern: str) -> Iterator[Found]:
        """Find the files that a pattern matches."""
        for name in glob.iglob(pattern, root_dir=self.root, recursive=True):  # noqa: PTH207 - names, not paths
            if (found := self.look(name)) is not None:
                yield found

    def look(self, name: str) -> Found | None:
        """Describe a file, or where a link leads."""
        path = self.root / name
        try:
            status = path.stat()
        except OSError:
            # A link that leads nowhere is listed, so that it is told of as a picture that cannot be read.
            return Found(name, 0, "") if path.is_symlink() else None
        return Found(name, status.st_size, str(status.st_mtime_ns)) if path.is_file() else None

    def open(self, name: str) -> BinaryIO:
        """Open a file to read."""
        return (self.root / name).open("rb")

    def names(self, folder: str) -> Iterator[str]:
        """Return what lies in a folder."""
        try:
            with os.scandir(self.root / folder) as entries:
                yield from (entry.name for entry in entries)
        except FileNotFoundError:
            return

    def put(self, file: Path, name: str) -> None:
        """Rename a file, once it is on the disk."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as written:
            os.fsync(written.fileno())  # or a crash of the machine could leave the name without the content
        file.replace(target)

    def temporary(self) -> Path:
        """Return a folder in the same file system, as only there a file can be renamed."""
        folder = self.root / _TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear(self) -> None:
        """Remove what a run that was killed left in `temporary`."""
        shutil.rmtree(self.root / _TEMPORARY, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder: a second run would do the same work once more. A killed process holds nothing.

        Raises:
            OutputError: another run has it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.root / ".lock", wait=False))
            except BlockingIOError as error:
                raise OutputError(f"{self.url}: another run is using this folder") from error
            yield


class RemoteFolder:
    """A folder behind fsspec. What is put there appears at once and whole, as object stores have it."""

    local = False

    def __init__(self, system: Any, root: str, protocol: str) -> None:
        self._system = system
        self._root = root.rstrip("/")
        self.url = f"{protocol}://{self._root}"

    def is_folder(self) -> bool:
        """Tell whether it is there, or anything in it: object stores know no folders."""
        return bool(self._system.isdir(self._root))

    def walk(self) -> Iterator[Found]:
        """Find the files, one folder after the other."""
        for _, _, files in self._system.walk(self._root, detail=True, on_error="raise"):
            yield from map(self._found, files.values())

    def match(self, pattern: str) -> Iterator[Found]:
        """Find the files that a pattern matches; all of them are held in memory."""
        matches = self._system.glob(f"{self._root}/{pattern}", detail=True)
        yield from (self._found(entry) for entry in matches.values() if entry["type"] == "file")

    def look(self, name: str) -> Found | None:
        """Describe a file."""
        try:
            entry = self._system.info(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        return self._found(entry) if entry["type"] == "file" else None

    def open(self, name: str) -> BinaryIO:
        """Open a file to read, a few megabytes at a time."""
        opened: BinaryIO = self._system.open(f"{self._root}/{name}", "rb")
        return opened

    def names(self, folder: str) -> Iterator[str]:
        """Return what lies in a folder, as it is now."""
        try:
            paths = self._system.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return
        yield from (path.rstrip("/").rpartition("/")[2] for path in paths)

    def put(self, file: Path, name: str) -> None:
        """Upload a file."""
        self._system.makedirs(f"{self._root}/{name}".rpartition("/")[0], exist_ok=True)
        self._system.put_file(str(file), f"{self._root}/{name}")
        file.unlink()

    def temporary(self) -> Path:
        """Return the system's own."""
        return Path(tempfile.gettempdir())

    def _found(self, entry: dict[str, Any]) -> Found:
        stamp = next((str(entry[key]) for key in _STAMPS if entry.get(key)), "")
        name = entry["name"].removeprefix(self._root).lstrip("/")
        return Found(name, entry.get("size") or 0, stamp)

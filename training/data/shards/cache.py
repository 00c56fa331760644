"""Shards that have to be fetched or unpacked, as files of this machine's disk; all processes of it share them.

A shard that is there is whole: it was written under another name and renamed. The first process that needs one fetches
it, and the others wait. What was not used for longest goes when there is too much.
"""

import getpass
import hashlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat

from model.archives.locations import Location
from model.files.locks import locked
from training.data.shards.errors import UNUSABLE, ShardError, read_patiently
from training.data.shards.shard import Shard

logger = logging.getLogger(__name__)

LATE: Final = 30.0
"""Seconds after which a shard that is still on its way is told of, and again each time as many have passed."""
ENDING: Final = ".shard"


class ShardsConfiguration(BaseModel):
    """How shards are shuffled and kept; sets of single files need none of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shuffle: NonNegativeInt = Field(
        16384,
        description="pictures that are shuffled among each other, a window of whole shards, the shards in random order",
    )
    cache: Path | None = Field(
        None, description="folder for shards that are fetched or unpacked; default: in the system's temporary folder"
    )
    cache_gigabytes: PositiveFloat = Field(
        32, description="most of them, GB; should hold two windows, that of `shuffle` and the next"
    )

    def folder(self) -> Path:
        """Return the folder of the cache."""
        return self.cache or Path(tempfile.gettempdir()) / f"yolo9000-shards-{getpass.getuser()}"


class ShardCache:
    """The cache.

    Args:
        configuration: where it is, and how much it keeps.
    """

    def __init__(self, configuration: ShardsConfiguration) -> None:
        self._folder = configuration.folder()
        self._most = int(configuration.cache_gigabytes * 1e9)

    def path(self, location: Location, shard: Shard, stamp: str) -> Path:
        """Return a shard's file, fetched if it is not there.

        Args:
            location: of the set's archives.
            shard: which.
            stamp: of its archive; with another one it is another shard.

        Raises:
            ShardError: it cannot be had.
        """
        told = f"{location.url}|{shard.file}|{shard.kind}|{shard.first}|{shard.count}|{shard.picture_column}|{stamp}"
        path = self._folder / f"{hashlib.sha256(told.encode(errors='surrogateescape')).hexdigest()[:32]}{ENDING}"
        with suppress(OSError):
            os.utime(path)
            return path
        name = f"{location.url}/{shard.file}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _late(f"the shard {name} is not there after %d s"), locked(path.with_suffix(".lock"), wait=True):
                if not path.exists():
                    _fetch(location, shard, path, name)
                    self._make_room(path)
        except OSError as error:
            raise ShardError(f"{error.filename or self._folder}: the shard {name} cannot be kept ({error})") from error
        return path

    def _make_room(self, new: Path) -> None:
        """Remove what was not used for longest; who reads it at this moment reads on."""
        with locked(self._folder / ".lock", wait=True):
            found = []
            for path in self._folder.glob(f"*{ENDING}"):
                with suppress(OSError):
                    status = path.stat()
                    found.append((status.st_mtime_ns, status.st_size, path))
            total = sum(size for _, size, _ in found)
            for _, size, path in sorted(found):
                if total <= self._most:
                    break
                if path != new:
                    path.unlink(missing_ok=True)
                    path.with_suffix(".lock").unlink(missing_ok=True)
                    total -= size


def _fetch(location: Location, shard: Shard, path: Path, name: str) -> None:
    temporary = path.with_suffix(".part")

    def fetch() -> int:
        with location.open(shard.file) as archive, temporary.open("wb") as file:
            for piece in shard.unpacked(archive):
                file.write(piece)
            return file.tell()

    try:
        written = read_patiently(location, shard.file, fetch)
        if shard.kind == "bytes" and written != shard.count:
            raise ShardError(f"{name}: has become shorter; index the set once more")
        temporary.rename(path)
    except UNUSABLE as error:
        raise ShardError(f"{name}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _late(message: str) -> Iterator[None]:
    """Tell of what takes long, while it does."""
    done = threading.Event()

    def tell() -> None:
        began = time.monotonic()
        while not done.wait(LATE):
            logger.warning(message, time.monotonic() - began)

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        done.set()

"""The shards of a set, and reading pictures from them."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.archives.locations import Location, locate
from training.data.shards.cache import ShardCache, ShardsConfiguration
from training.data.shards.errors import ShardError
from training.data.shards.shard import Shard

OPEN_AT_MOST: Final = 64
"""Files that a process keeps open."""


class Span(NamedTuple):
    """Where a picture's bytes are.

    Attributes:
        files: the set's shards.
        shard: the number of its own.
        offset: where they begin, see `training.data.shards.samples`.
        length: how many there are.
    """

    files: "ShardFiles"
    shard: int
    offset: int
    length: int

    def read(self) -> bytes:
        """Return the bytes.

        Raises:
            ShardError: they cannot be had.
        """
        return self.files.read(self.shard, self.offset, self.length)


class _Descriptor:
    """An open file, which is closed when its last reader is done with it."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class ShardFiles:
    """The shards of a set, in the order of its pictures.

    Args:
        url: of the folder of their archives.
        shards: all of them.
        stamps: of each archive, by its name.
        configuration: of what is fetched or unpacked.
    """

    def __init__(
        self, url: str, shards: Sequence[Shard], stamps: dict[str, str], configuration: ShardsConfiguration
    ) -> None:
        self.url, self.shards, self.stamps, self.configuration = url, tuple(shards), stamps, configuration
        self.ends: NDArray[np.int64] = np.cumsum([shard.rows for shard in shards], dtype=np.int64)
        self._open: OrderedDict[Path, _Descriptor] = OrderedDict()
        self._lock = Lock()
        self._location: tuple[int, Location] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardFiles, (self.url, self.shards, self.stamps, self.configuration)

    @property
    def location(self) -> Location:
        """The folder of the archives; each process has one of its own, as fsspec's must not be taken through a fork."""
        process = os.getpid()
        if self._location is None or self._location[0] != process:
            self._location = (process, locate(self.url))
        return self._location[1]

    def of_row(self, row: int) -> int:
        """Return the number of the shard that has the picture of a row."""
        return int(np.searchsorted(self.ends, row, side="right"))

    def path(self, shard: int, name: bytes) -> Path:
        """Return what a picture is called: its archive, and its name within."""
        return Path(self.url) / self.shards[shard].file / os.fsdecode(name)

    def needs_cache(self, shard: int) -> bool:
        """Tell whether a shard has to be fetched or unpacked before pictures can be read from it."""
        return self.shards[shard].kind != "bytes" or not self.location.local

    def needs_any(self) -> bool:
        """Tell whether any shard has to be."""
        return any(map(self.needs_cache, range(len(self.shards))))

    def fetch(self, shard: int) -> Path:
        """Return the file that holds a shard's pictures, fetched or unpacked if that is needed.

        Raises:
            ShardError: it cannot be had.
        """
        one = self.shards[shard]
        if not self.needs_cache(shard):
            return Path(self.url) / one.file
        return ShardCache(self.configuration).path(self.location, one, self.stamps.get(one.file, ""))

    def read(self, shard: int, offset: int, length: int) -> bytes:
        """Return a picture's bytes; see `Span.read`."""
        one = self.shards[shard]
        kept = self.needs_cache(shard)
        place = offset - one.start if kept else offset
        path = self.fetch(shard)
        try:
            try:
                file = self._opened(path)
            except FileNotFoundError:
                if not kept:
                    raise
                file = self._opened(self.fetch(shard))  # another process made room meanwhile
            data = os.pread(file.number, length, place)
        except OSError as error:
            raise ShardError(f"{path}: the shard cannot be read ({error.strerror})") from error
        if len(data) != length:
            raise ShardError(f"{self.url}/{one.file}: has become shorter; index the set once more")
        return data

    def _opened(self, path: Path) -> "_Descriptor":
        """Return an open file."""
        with self._lock:
            file = self._open.get(path)
            if file is None:
                file = self._open[path] = _Descriptor(path)
                if len(self._open) > OPEN_AT_MOST:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(path)
            return file

"""What API keys have left, counted by several processes together. For systems with `flock`."""

import fcntl
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import Final

from app.access.rate_limit import Bucket

_BUCKET: Final = Struct("dd")


class SharedBuckets:
    """The buckets of several processes, in a file that each has mapped. Their clocks must be one, as on Linux.

    Args:
        file: empty or not there at first.
        names: all there are, the same in each process.
    """

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        self._places = {name: number * _BUCKET.size for number, name in enumerate(names)}
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = len(names) * _BUCKET.size
        os.ftruncate(self._file, size)
        self._memory = mmap.mmap(self._file, size)

    @contextmanager
    def of(self, name: str) -> Iterator[Bucket]:
        """Give a name's bucket to be changed; the others wait."""
        place = self._places[name]
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            tokens, filled_at = _BUCKET.unpack_from(self._memory, place)
            bucket = Bucket(tokens, filled_at) if filled_at else Bucket()  # 0 in a file that is new
            yield bucket
            _BUCKET.pack_into(self._memory, place, bucket.tokens, bucket.filled_at)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

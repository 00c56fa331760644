"""How many requests each API key may send: a token bucket a key."""

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from time import monotonic
from typing import Final

_BUCKET: Final = Struct("dd")


@dataclass
class Bucket:
    """What a name has left.

    Attributes:
        tokens: requests that it may send at once.
        filled_at: until when the rate has been counted; of a new one long ago, so that it is full.
    """

    tokens: float = 0.0
    filled_at: float = float("-inf")


class Buckets:
    """The buckets of one process."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[Bucket]:
        """Give a name's bucket to be changed."""
        yield self._buckets.setdefault(name, Bucket())


class SharedBuckets(Buckets):
    """The buckets of several processes, in a file that each has mapped. Their clocks must be one, as on Linux.

    Args:
        file: empty or not there at first.
        names: all there are, the same in each process.
    """

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        import fcntl  # Unix only, as several processes are

        super().__init__()
        self._lock, self._lock_kind, self._unlock_kind = fcntl.flock, fcntl.LOCK_EX, fcntl.LOCK_UN
        self._places = {name: number * _BUCKET.size for number, name in enumerate(names)}
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = max(1, len(names)) * _BUCKET.size
        os.ftruncate(self._file, size)
        self._memory = mmap.mmap(self._file, size)

    @contextmanager
    def of(self, name: str) -> Iterator[Bucket]:
        """Give a name's bucket to be changed; the others wait."""
        place = self._places[name]
        self._lock(self._file, self._lock_kind)
        try:
            tokens, filled_at = _BUCKET.unpack_from(self._memory, place)
            bucket = Bucket(tokens, filled_at) if filled_at else Bucket()  # 0 in a file that is new
            yield bucket
            _BUCKET.pack_into(self._memory, place, bucket.tokens, bucket.filled_at)
        finally:
            self._lock(self._file, self._unlock_kind)


class RateLimit:
    """Lets each name have `rate` requests a second, and `burst` at once after it was silent for a while.

    Names are those of keys, so there are few of them.
    """

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = monotonic, buckets: Buckets | None = None
    ) -> None:
        """Begin with full buckets.

        Args:
            rate: requests a second.
            burst: requests at once, at least 1.
            clock: seconds that never go back; setting the machine's time must not open or close the limit.
            buckets: what the names have left; None: new ones.
        """
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets = Buckets() if buckets is None else buckets

    def take(self, name: str) -> float:
        """Count a request. Return 0 if it may pass, or else the seconds until the next one may."""
        now = self._clock()
        with self._buckets.of(name) as bucket:
            bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled_at) * self._rate)
            bucket.filled_at = now
            if bucket.tokens < 1:
                return (1 - bucket.tokens) / self._rate
            bucket.tokens -= 1
            return 0.0

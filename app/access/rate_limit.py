"""How many requests each API key may send: a token bucket a key."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import monotonic
from typing import Protocol


@dataclass
class Bucket:
    """What a name has left.

    Attributes:
        tokens: requests that it may send at once.
        filled_at: until when the rate has been counted; of a new one long ago, so that it is full.
    """

    tokens: float = 0.0
    filled_at: float = float("-inf")


class Buckets(Protocol):
    """What each name has left."""

    def of(self, name: str) -> AbstractContextManager[Bucket]:
        """Give a name's bucket to be changed."""


class OwnBuckets:
    """The buckets of one process."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def of(self, name: str) -> AbstractContextManager[Bucket]:
        """Give a name's bucket to be changed."""
        return nullcontext(self._buckets.setdefault(name, Bucket()))


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
        self._buckets = OwnBuckets() if buckets is None else buckets

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

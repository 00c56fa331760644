"""How many requests each API key may send: a token bucket a key."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic


@dataclass
class _Bucket:
    tokens: float
    filled_at: float


class RateLimit:
    """Lets each name have `rate` requests a second, and `burst` at once after it was silent for a while.

    Names are those of keys, so there are few of them.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        """Begin with full buckets.

        Args:
            rate: requests a second.
            burst: requests at once, at least 1.
            clock: seconds that never go back; setting the machine's time must not open or close the limit.
        """
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, name: str) -> float:
        """Count a request. Return 0 if it may pass, or else the seconds until the next one may."""
        now = self._clock()
        bucket = self._buckets.setdefault(name, _Bucket(self._burst, now))
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled_at) * self._rate)
        bucket.filled_at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._rate
        bucket.tokens -= 1
        return 0.0

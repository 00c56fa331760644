"""How much the service holds at once: pictures that wait or are worked on, and bytes of uploads.

Both are bounded, so that overload costs time and a clear answer, never memory. A request is turned away before its
body is read if there is no room then, and once more when the body has arrived and a place is taken: whoever sends
slowly holds bytes, but no place.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from app.contract.errors import QueueFullError

REMEMBERED = 64
"""Pictures whose times `Pace` averages over: a few seconds of load."""


class Pace:
    """Measures how long the service takes for a picture when it is busy: the time from one answer to the next."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=REMEMBERED)
        self._since = 0.0

    @property
    def seconds(self) -> float:
        """Mean seconds from one picture's end to the next one's; 0 as long as there was none."""
        return sum(self._times) / len(self._times) if self._times else 0.0

    def begin(self) -> None:
        """Note that the service was idle until now."""
        self._since = monotonic()

    def end(self, pictures: int) -> None:
        """Note that as many pictures are done, while others may be under way."""
        now = monotonic()
        self._times.extend([(now - self._since) / pictures] * pictures)
        self._since = now


class AdmittedRequest:
    """A request that has been let in: the bytes it has sent so far, and its lane in every queue."""

    def __init__(self, admission: "Admission") -> None:
        self.bytes = 0
        self._admission = admission

    def count_bytes(self, count: int) -> None:
        """Count bytes that arrived.

        Raises:
            QueueFullError: all requests together hold as many bytes as they may.
        """
        self._admission.check_bytes(count)
        self.bytes += count
        self._admission.bytes += count


class Admission:
    """Counts what the service holds, and turns away what is too much.

    Attributes:
        pictures: how many wait or are worked on.
        bytes: what all uploads hold, those that have not arrived in full included.
    """

    def __init__(self, max_pictures: int, max_bytes: int) -> None:
        self.pictures = 0
        self.bytes = 0
        self._max_pictures = max_pictures
        self._max_bytes = max_bytes
        self._pace = Pace()

    @property
    def retry_after(self) -> float:
        """Seconds until what is held now will be done, going by what the last pictures took."""
        return self.pictures * self._pace.seconds

    def check(self) -> None:
        """Tell whether there is a place now.

        Raises:
            QueueFullError: there is none.
        """
        if self.pictures >= self._max_pictures:
            raise QueueFullError(self.retry_after)

    def check_bytes(self, count: int) -> None:
        """Tell whether there is room for more bytes now.

        Raises:
            QueueFullError: there is none.
        """
        if self.bytes + count > self._max_bytes:
            raise QueueFullError(self.retry_after)

    @contextmanager
    def admit(self) -> Iterator[AdmittedRequest]:
        """Hold the bytes of a request until it has been answered."""
        admitted = AdmittedRequest(self)
        try:
            yield admitted
        finally:
            self.bytes -= admitted.bytes

    @contextmanager
    def places(self, pictures: int) -> Iterator[None]:
        """Hold a place for each picture of a request.

        One free place is enough: a batch that had to find as many as it has pictures would never get in beside
        requests with one. So at most one batch less one picture is held beyond the limit.

        Raises:
            QueueFullError: there is no place.
        """
        self.check()
        if not self.pictures:
            self._pace.begin()
        self.pictures += pictures
        done = False
        try:
            yield
            done = True
        finally:
            self.pictures -= pictures
            if done:  # one that failed or was given up says nothing of how long a picture takes
                self._pace.end(pictures)

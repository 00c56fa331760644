"""How much the service holds at once: pictures that wait or are worked on, and bytes of uploads.

Both are bounded, so that overload costs time and a clear answer, never memory. A request is turned away before its
body is read if there is no room then, and once more when the body has arrived and a place is taken: whoever sends
slowly holds bytes, but no place.

Streams are counted apart from pictures. Each has a place of its own for the one frame that is looked at, so that no
picture of a request takes it, and no frame that of a picture.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from app.contract.errors import QueueFullError

STREAM_RETRY_SECONDS = 10.0
"""When to come back where all streams are taken: nobody knows when one will end."""

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
    """A request that has been let in: the bytes that are held of it, and its lane in every queue."""

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

    def let_go(self, count: int) -> None:
        """Count bytes that are no longer held, as of a stream's frame that was answered."""
        self.bytes -= count
        self._admission.bytes -= count


class Admission:
    """Counts what the service holds, and turns away what is too much.

    Attributes:
        pictures: how many wait or are worked on, without the frames of streams.
        frames: how many frames of streams wait or are worked on.
        bytes: what all uploads hold, those that have not arrived in full included.
        streams: how many are open.
    """

    def __init__(self, max_pictures: int, max_bytes: int, max_streams: int = 0) -> None:
        self.pictures = self.frames = self.bytes = self.streams = 0
        self._max_streams = max_streams
        self._max_pictures = max_pictures
        self._max_bytes = max_bytes
        self._pace = Pace()

    @property
    def held(self) -> int:
        """How many pictures wait or are worked on, the frames of streams included."""
        return self.pictures + self.frames

    @property
    def retry_after(self) -> float:
        """Seconds until what is held now will be done, going by what the last pictures took."""
        return self.held * self._pace.seconds

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
    def stream(self) -> Iterator[None]:
        """Hold one of the places for streams.

        Raises:
            QueueFullError: all are taken.
        """
        if self.streams >= self._max_streams:
            raise QueueFullError(STREAM_RETRY_SECONDS)
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Hold the frame of a stream that is looked at; it takes no place of a picture."""
        with self._paced(1):
            self.frames += 1
            try:
                yield
            finally:
                self.frames -= 1

    @contextmanager
    def places(self, pictures: int) -> Iterator[None]:
        """Hold a place for each picture of a request.

        One free place is enough: a batch that had to find as many as it has pictures would never get in beside
        requests with one. So at most one batch less one picture is held beyond the limit.

        Raises:
            QueueFullError: there is no place.
        """
        self.check()
        with self._paced(pictures):
            self.pictures += pictures
            try:
                yield
            finally:
                self.pictures -= pictures

    @contextmanager
    def _paced(self, pictures: int) -> Iterator[None]:
        if not self.held:
            self._pace.begin()
        yield
        self._pace.end(pictures)  # not of what failed or was given up: that says nothing of how long a picture takes

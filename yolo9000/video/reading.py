"""Reads the frames of a video as a person sees them, one after the other: memory does not grow with the length."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.geometry import Letterbox
from model.pictures.decoding import letterbox
from yolo9000.video.ahead import read_ahead
from yolo9000.video.errors import VideoError, VideoMissingError
from yolo9000.video.sources import Place, place_of

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

AHEAD: Final = 4
"""Frames that are decoded before they are asked for."""
USUAL_RATE: Final = Fraction(30)
BROKEN_AT_MOST: Final = 500
"""Packets in a row that cannot be decoded; then the video is given up."""
TURNS: Final = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}

Hear = Callable[["Packet[Any]"], None]


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video.

    Attributes:
        number: of the frame, from 0; those that were left out count.
        seconds: since the video's beginning.
        image: RGB, held upright.
        pts: when it is shown, in units of `Video.time_base`.
        laid: the image as the network's input, and how it lies there, if that was asked for.
    """

    number: int
    seconds: float
    image: Image.Image
    pts: int
    laid: tuple[NDArray[np.uint8], Letterbox] | None = None


class Video:
    """A video, a camera or a stream. Close it, or use it in a `with` statement.

    Args:
        source: a file, `camera:0`, or an address.

    Raises:
        VideoMissingError: PyAV is not installed.
        VideoError: it cannot be opened, or has no pictures.

    Attributes:
        name: the source.
        live: whether it is a camera or a stream: only the newest frame is given.
        rate: frames a second on average.
        frames: how many there are, about; None where that is not known.
        seconds: how long it is; None where that is not known.
        time_base: seconds of a unit of `Frame.pts`.
        broken: packets so far that could not be decoded, and were left out.
        ended_early: why reading ended before the video's end; None if it did not.
    """

    def __init__(self, source: str) -> None:
        try:
            import av
        except ModuleNotFoundError as error:
            raise VideoMissingError from error
        self._av = av
        self.name = source
        try:
            place = place_of(source)
        except ValueError as error:
            raise VideoError(str(error)) from error
        self.live = place.live
        self._container = self._open(place)
        self._stream = self._pictures()
        self._stream.thread_type = "AUTO"
        self.time_base: Fraction = self._stream.time_base or 1 / USUAL_RATE
        self.rate: Fraction = self._stream.average_rate or self._stream.guessed_rate or USUAL_RATE
        duration = self._container.duration
        self.seconds = None if self.live or not duration else duration / av.time_base
        known = self._stream.frames or (None if self.seconds is None else round(self.seconds * self.rate))
        self.frames = None if self.live else known or None
        self.broken, self._in_a_row = 0, 0
        self.ended_early: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file or the connection."""
        self._container.close()

    @property
    def audio(self) -> "av.AudioStream | None":
        """The sound that goes with the pictures, if there is any."""
        return next(iter(self._container.streams.audio), None)

    def read(
        self,
        *,
        every: int = 1,
        start: float = 0.0,
        end: float | None = None,
        size: int | None = None,
        hear: Hear | None = None,
    ) -> Generator[Frame, None, None]:
        """Yield frames; close what this returns before the video.

        Of a file a few are decoded ahead, in a thread of their own. Of what is live the newest one is given.

        Args:
            every: give every n-th frame only.
            start: seconds from the beginning on.
            end: seconds, not included.
            size: side of the network's input in pixels: of a file, frames are laid into it ahead, too.
            hear: is given the packets of sound, between the frames that they are between; None: nobody listens.
        """
        sound = hear is not None and not self.live
        items = self._frames(every, start, end, sound)
        if size is not None and not self.live:  # of what is live most frames may be left out
            items = (_laid(one, size) for one in items)
        with closing(read_ahead(items, 1 if self.live else AHEAD, newest=self.live)) as ahead:
            for one in ahead:
                if isinstance(one, Frame):
                    yield one
                elif hear is not None:
                    hear(one)

    def _open(self, place: Place) -> "InputContainer":
        try:
            return self._av.open(place.file, format=place.format, options=place.options, timeout=(10.0, 30.0))
        except (self._av.FFmpegError, OSError) as error:
            raise VideoError(f"{self.name}: {reason_of(error)}") from error

    def _pictures(self) -> "VideoStream":
        """Return the pictures' stream: the largest one that is no cover of a record."""
        cover = self._av.stream.Disposition.attached_pic
        found = [one for one in self._container.streams.video if not one.disposition & cover]
        if not found:
            self.close()
            raise VideoError(f"{self.name}: has no moving pictures")
        return max(found, key=lambda one: one.width * one.height)

    def _frames(self, every: int, start: float, end: float | None, sound: bool) -> Iterator["Frame | Packet[Any]"]:
        """Yield frames and, between them, packets of sound."""
        streams: list[Any] = [self._stream, *([self.audio] if sound and self.audio is not None else [])]
        first = self._stream.start_time or 0
        if start:
            self._container.seek(int(start / self.time_base) + first, stream=self._stream)
        number, last = -1, -1
        for packet in self._packets(streams):
            if packet.stream is not self._stream:
                at = None if packet.pts is None else float(packet.pts * packet.time_base)
                if at is None or (at >= start and (end is None or at < end)):
                    yield packet
                continue
            for decoded in self._decode(packet):
                pts = last + int(1 / (self.rate * self.time_base)) if decoded.pts is None else decoded.pts - first
                pts = max(pts, last + 1)  # a frame before the one before it would be shown at no time
                last = pts
                seconds = float(pts * self.time_base)
                number = number + 1 if number >= 0 else self._number(seconds, start)
                if end is not None and seconds >= end:
                    return
                if seconds >= start and number % every == 0:
                    yield Frame(number, seconds, self._upright(decoded), pts)

    def _number(self, seconds: float, start: float) -> int:
        """Return the number of the first frame that was decoded: after a jump it is worked out."""
        return round(seconds * self.rate) if start else 0

    def _packets(self, streams: list[Any]) -> Iterator["Packet[Any]"]:
        packets = self._container.demux(*streams)
        while True:
            try:
                yield next(packets)
            except (StopIteration, self._av.error.EOFError):
                return
            except (self._av.FFmpegError, OSError) as error:
                self.ended_early = reason_of(error)
                return

    def _decode(self, packet: "Packet[Any]") -> "list[VideoFrame]":
        try:
            found: list[VideoFrame] = packet.decode()
        except self._av.error.EOFError:
            return []
        except (self._av.FFmpegError, OSError) as error:
            self.broken += 1
            self._in_a_row += 1
            if self._in_a_row > BROKEN_AT_MOST:
                raise VideoError(f"{self.name}: cannot be decoded: {reason_of(error)}") from error
            return []
        if found:
            self._in_a_row = 0
        return found

    def _upright(self, frame: "VideoFrame") -> Image.Image:
        image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
        shape = self._stream.sample_aspect_ratio
        if shape and shape > 0 and abs(shape - 1) > Fraction(1, 100):  # pixels that are not square
            image = image.resize((max(1, round(image.width * shape)), image.height))
        turn = TURNS.get(frame.rotation % 360)
        return image if turn is None else image.transpose(turn)


def _laid(item: "Frame | Packet[Any]", size: int) -> "Frame | Packet[Any]":
    return replace(item, laid=letterbox(item.image, size)) if isinstance(item, Frame) else item


def reason_of(error: Exception) -> str:
    """Return what FFmpeg or the system says, without the numbers."""
    return getattr(error, "strerror", None) or str(error)

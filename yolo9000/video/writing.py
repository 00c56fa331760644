"""Writes annotated videos: H.264, each frame at its own time, with the sound of the original."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from PIL import Image

from yolo9000.video.errors import VideoError
from yolo9000.video.reading import Frame, Video, reason_of

if TYPE_CHECKING:
    from av.packet import Packet

SUFFIXES: Final = (".mp4", ".mov", ".mkv")
CODEC: Final = "libx264"
OPTIONS: Final = {"crf": "20", "preset": "veryfast"}
COPIED: Final = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "alac"})
"""Sound that MP4 holds as it is; other sound becomes AAC. Matroska holds all."""
MATROSKA: Final = ".mkv"


class VideoWriter:
    """An annotated video; it gets its name when it is finished. Use it in a `with` statement.

    Args:
        path: the file; its suffix is one of `SUFFIXES`.
        video: the original.
        start: seconds of the original that are left out at the beginning.

    Raises:
        VideoError: it cannot be written.
    """

    def __init__(self, path: Path, video: Video, start: float = 0.0) -> None:
        import av

        self._av, self._path, self._video = av, path, video
        self._temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
        self._start = Fraction(start).limit_denominator(1_000_000)
        self._size: tuple[int, int] | None = None
        self._early: list[Packet[Any]] = []
        self._last = -1
        with _told(self._path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._film = av.open(str(self._temporary), "w")
            self._stream: Any = self._film.add_stream(CODEC, rate=video.rate, options=OPTIONS)
            self._sound = None if video.audio is None else _Sound(self._film, video.audio, path.suffix.lower())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the file; after an error, but for Ctrl-C, remove it."""
        try:
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._finish()
            else:
                self._film.close()
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, frame: Frame, image: Image.Image) -> None:
        """Write a frame.

        Args:
            frame: of the original, after those that were written before.
            image: what is shown in its place.
        """
        with _told(self._path):
            if self._size is None:
                self._begin(image)
            shown = image if image.size == self._size else image.resize(self._size or image.size)
            encoded = self._av.VideoFrame.from_image(shown)  # type: ignore[no-untyped-call]
            shift = round(self._start / self._video.time_base)
            self._last = max(frame.pts - shift, self._last + 1)
            encoded.pts, encoded.time_base = self._last, self._video.time_base
            self._film.mux(self._stream.encode(encoded))

    def hear(self, packet: "Packet[Any]") -> None:
        """Write a packet of the original's sound."""
        if self._size is None:  # the file begins with the first frame
            self._early.append(packet)
        elif self._sound is not None:
            with _told(self._path):
                self._sound.write(packet, self._start)

    def _begin(self, image: Image.Image) -> None:
        self._size = (max(2, image.width & ~1), max(2, image.height & ~1))  # H.264 halves the colours' sides
        self._stream.width, self._stream.height, self._stream.pix_fmt = *self._size, "yuv420p"
        self._stream.codec_context.time_base = self._video.time_base
        early, self._early = self._early, []
        for packet in early:
            self.hear(packet)

    def _finish(self) -> None:
        if self._size is None:
            self._film.close()
            raise VideoError(f"{self._path}: there is no frame to write")
        with _told(self._path):
            self._film.mux(self._stream.encode())
            if self._sound is not None:
                self._sound.finish()
            self._film.close()
            self._temporary.replace(self._path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is written into a sentence."""
    try:
        yield
    except OSError as error:  # FFmpeg's errors are such
        raise VideoError(f"{path}: cannot be written: {reason_of(error)}") from error


class _Sound:
    """The sound of a film that is written: the original's as it is, or as AAC where the file cannot hold that."""

    def __init__(self, film: Any, original: Any, suffix: str) -> None:
        self._film = film
        self._copied = suffix == MATROSKA or original.codec_context.name in COPIED
        if self._copied:
            self._stream = film.add_stream_from_template(original)
        else:
            self._stream = film.add_stream("aac", rate=original.codec_context.sample_rate)
            self._stream.codec_context.layout = original.codec_context.layout

    def write(self, packet: Any, start: Fraction) -> None:
        """Write a packet, `start` seconds earlier than it was."""
        if self._copied:
            if packet.dts is None:  # the end, which a decoder needs to be told of
                return
            shift = round(start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = self._stream
            self._film.mux(packet)
            return
        for frame in packet.decode():
            frame.pts = None  # one after the other, from where the encoder is
            self._film.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still has."""
        if not self._copied:
            self._film.mux(self._stream.encode())

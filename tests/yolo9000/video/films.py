"""Small films of coloured squares that move, for the tiny model of `tests.model_files`."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from tests.model_files import COLOURS

WIDTH, HEIGHT, RATE = 160, 120, 10
SIDE = 40
SAMPLES = 48_000


def picture(number: int, *, colour: str = "red", size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """Return a frame: a square that moves to the right by 3 pixels a frame."""
    image = Image.new("RGB", size, "white")
    left = 5 + 3 * number
    image.paste(COLOURS[colour], (left, 30, left + SIDE, 30 + SIDE))
    return image


def pictures(count: int, **options: Any) -> Iterator[Image.Image]:
    """Yield frames."""
    return (picture(number, **options) for number in range(count))


def write_film(
    path: Path,
    images: Iterator[Image.Image],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: int = RATE,
    times: Sequence[int] | None = None,
    rotation: int | None = None,
    sound: bool = False,
    audio_codec: str = "aac",
    **options: str,
) -> Path:
    """Write a film.

    Args:
        path: its ending decides the container.
        images: its frames.
        codec, pixels, rate, options: of the encoder.
        times: when each frame is shown, in milliseconds; None: at the rate.
        rotation: degrees that a player turns it by, counterclockwise.
        sound: with a second of tone for each second.
        audio_codec: of the sound.
    """
    with av.open(str(path), "w") as film:
        first, rest = next(images), images
        stream: Any = film.add_stream(
            codec, rate=rate, options={"crf": "12", **options} if codec == "libx264" else options
        )
        stream.width, stream.height, stream.pix_fmt = *first.size, pixels
        base = Fraction(1, 1000) if times is not None else Fraction(1, rate)
        stream.codec_context.time_base = base
        tone = film.add_stream(audio_codec, rate=SAMPLES, layout="mono") if sound else None
        if rotation is not None:
            stream.set_display_rotation(rotation)
        count = 0
        for number, image in enumerate([first, *rest]):
            frame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
            frame.pts, frame.time_base = (times[number] if times is not None else number), base
            film.mux(stream.encode(frame))
            count = number + 1
        film.mux(stream.encode())
        if tone is not None:
            _write_tone(film, tone, count / rate)
    return path


def _write_tone(film: Any, stream: Any, seconds: float) -> None:
    samples = (0.3 * np.sin(np.arange(int(SAMPLES * seconds)) * 0.06)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = SAMPLES, 0
    film.mux(stream.encode(frame))
    film.mux(stream.encode())

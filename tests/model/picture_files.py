"""Picture files to decode in tests."""

import io
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """A picture whose corners tell how it is turned: red, green, blue and white, from the top left."""
    image = Image.new("RGB", (width, height), "white")
    for colour, corner in (((255, 0, 0), (0, 0)), ((0, 255, 0), (1, 0)), ((0, 0, 255), (0, 1))):
        x, y = corner[0] * width // 2, corner[1] * height // 2
        image.paste(colour, (x, y, x + width // 2, y + height // 2))
    return image


def corners(image: Image.Image) -> list[str]:
    pixels = np.asarray(image).astype(int)
    names = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    found = []
    for y, x in ((3, 3), (3, -4), (-4, 3), (-4, -4)):
        found.append(min(names, key=lambda name: np.abs(pixels[y, x] - names[name]).sum()))
    return found


pillow_heif.register_heif_opener()  # for writing them


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def detailed() -> Image.Image:
    """Noise in squares of 8: every byte of the file matters."""
    squares = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(squares.repeat(8, axis=0).repeat(8, axis=1))


FILES = {
    "JPEG": encode(detailed(), "JPEG"),
    "progressive JPEG": encode(detailed(), "JPEG", progressive=True),
    "PNG": encode(detailed(), "PNG"),
    "WebP": encode(detailed(), "WEBP"),
    "lossless WebP": encode(detailed(), "WEBP", lossless=True),
    "GIF": encode(detailed(), "GIF"),
    "BMP": encode(detailed(), "BMP"),
    "TIFF": encode(detailed(), "TIFF"),
    "LZW TIFF": encode(detailed(), "TIFF", compression="tiff_lzw"),
    "AVIF": encode(detailed(), "AVIF"),
    "deflate TIFF": encode(detailed(), "TIFF", compression="tiff_adobe_deflate"),
}

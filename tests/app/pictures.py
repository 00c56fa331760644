"""Pictures the tiny model understands: coloured boxes on white."""

import io
from collections.abc import Mapping

from PIL import Image

from tests.model_files import COLOURS

Corners = tuple[int, int, int, int]

RED = (20, 30, 80, 90)
BLUE = (120, 10, 180, 50)
SIZE = (200, 100)


def draw(boxes: Mapping[str, Corners], size: tuple[int, int] = SIZE) -> Image.Image:
    image = Image.new("RGB", size, "white")
    for colour, corners in boxes.items():
        image.paste(COLOURS[colour], corners)
    return image


def encode(image: Image.Image, picture_format: str = "PNG", orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, picture_format, quality=95, exif=exif)
    return file.getvalue()


def red_and_blue() -> bytes:
    return encode(draw({"red": RED, "blue": BLUE}))


def red() -> bytes:
    return encode(draw({"red": RED}))


def near(box: Mapping[str, float], corners: Corners, pixels: float = 3.0) -> bool:
    """Tell whether a box of the API lies where it was drawn, as far as scaling to the input's size allows."""
    edges = (box["x1"], box["y1"], box["x2"], box["y2"])
    return all(abs(edge - corner) <= pixels for edge, corner in zip(edges, corners, strict=True))

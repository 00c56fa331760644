"""Draws boxes and their labels into pictures."""

import io
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont

LONGEST_SIDE: Final = 480
"""Pixels of a drawn picture's longer side: larger ones are reduced."""
GREEN: Final = (40, 170, 60)
ORANGE: Final = (225, 95, 20)


class Canvas:
    """A copy of a picture, no longer than `LONGEST_SIDE`, to draw boxes on.

    Args:
        image: the picture.
        longest: pixels of the longer side.
    """

    def __init__(self, image: Image.Image, longest: int = LONGEST_SIDE) -> None:
        self._scale = min(1.0, longest / max(image.size))
        size = (max(1, round(image.width * self._scale)), max(1, round(image.height * self._scale)))
        self.image = image.resize(size).convert("RGB")
        self._draw = ImageDraw.Draw(self.image)
        self._font = ImageFont.load_default(size=11)

    def draw(self, box: Sequence[float], text: str, colour: tuple[int, int, int], *, below: bool) -> None:
        """Draw a box, x1, y1, x2, y2 in the picture's pixels, with its text in its top or bottom left corner."""
        x1, y1, x2, y2 = (side * self._scale for side in box)
        self._draw.rectangle((x1, y1, x2, y2), outline=colour, width=2)
        left, top, right, bottom = self._draw.textbbox((x1 + 2, y1 + 2), text, font=self._font)
        drop = max(0.0, y2 - bottom - 3) if below else 0.0
        self._draw.rectangle((left - 2, top - 2 + drop, right + 2, bottom + 2 + drop), fill=colour)
        self._draw.text((x1 + 2, y1 + 2 + drop), text, font=self._font, fill="white")

    def jpeg(self) -> bytes:
        """Return it as a JPEG file."""
        file = io.BytesIO()
        self.image.save(file, "JPEG", quality=80)
        return file.getvalue()

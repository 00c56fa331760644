"""Boxes: how far two overlap, and how a letterboxed input maps to the picture it came from.

A box is x1, y1, x2, y2 in pixels, with x to the right and y down; (0, 0) is the picture's top left corner.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEAST_UNION = np.finfo(np.float32).tiny
"""Square pixels; what is divided by it instead of by 0 is 0."""


def box_area(boxes: Floats) -> Floats:
    """Return the areas [N] of boxes [N, 4] in square pixels; a box turned inside out has area 0."""
    width = np.maximum(boxes[:, 2] - boxes[:, 0], 0)
    height = np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    area: Floats = width * height
    return area


def box_iou(a: Floats, b: Floats) -> Floats:
    """Return the intersection over union [N, M] of every box of a [N, 4] with every box of b [M, 4].

    Where the union is empty the answer is 0, so two boxes without area never overlap.
    """
    # Edge by edge, as arrays of one column are several times as fast to go through as arrays of two.
    (left, top, right, bottom), (lefts, tops, rights, bottoms) = a.T[:, :, None], b.T
    width = np.minimum(right, rights)
    width -= np.maximum(left, lefts)
    intersection: Floats = np.maximum(width, 0, out=width)
    height = np.minimum(bottom, bottoms)
    height -= np.maximum(top, tops)
    intersection *= np.maximum(height, 0, out=height)
    union = box_area(a)[:, None] + box_area(b)[None, :] - intersection
    intersection /= np.maximum(union, LEAST_UNION, out=union)
    return intersection


@dataclass(frozen=True)
class Letterbox:
    """How a picture lies in the network's square input: as large as fits, centred, padded on two sides.

    Attributes:
        size: side of the square input in pixels.
        width: width of the picture in pixels.
        height: height of the picture in pixels.
    """

    size: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.size, self.width, self.height) < 1:
            raise ValueError(f"sizes must be positive, not {self.width}x{self.height} letterboxed to {self.size}")

    @property
    def scale(self) -> float:
        """Input pixels to one picture pixel, before the resized sides are rounded to whole pixels."""
        return min(self.size / self.width, self.size / self.height)

    @property
    def resized_width(self) -> int:
        """Width of the resized picture inside the input, at least one pixel."""
        return max(1, round(self.width * self.scale))

    @property
    def resized_height(self) -> int:
        """Height of the resized picture inside the input, at least one pixel."""
        return max(1, round(self.height * self.scale))

    @property
    def left(self) -> int:
        """Columns of padding left of the picture."""
        return (self.size - self.resized_width) // 2

    @property
    def top(self) -> int:
        """Rows of padding above the picture."""
        return (self.size - self.resized_height) // 2

    def to_input(self, boxes: Floats) -> Floats:
        """Map boxes [N, 4] from pixels of the picture to pixels of the input."""
        ratio, offset = self._ratio_and_offset()
        mapped: Floats = (boxes * ratio + offset).astype(np.float32)
        return mapped

    def to_picture(self, boxes: Floats) -> Floats:
        """Map boxes [N, 4] from pixels of the input to pixels of the picture, clipped to its edges."""
        ratio, offset = self._ratio_and_offset()
        limit = np.array([self.width, self.height] * 2, dtype=np.float64)
        mapped = (boxes - offset) / ratio
        np.minimum(np.maximum(mapped, 0, out=mapped), limit, out=mapped)  # for few boxes faster than clip
        return mapped.astype(np.float32)

    def _ratio_and_offset(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # The ratio of the rounded sides, not `scale`: a sliver 1 pixel wide would be off by its whole width.
        ratio = [self.resized_width / self.width, self.resized_height / self.height] * 2
        return np.array(ratio), np.array([self.left, self.top] * 2, dtype=np.float64)

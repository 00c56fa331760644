"""Mosaics: four pictures around a point, as one (Bochkovskiy et al., arXiv 2004.10934, section 3.3).

A step then learns from four times the objects, smaller ones and cut off by other borders than a picture's own.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.augmentation.augment import AugmentConfiguration, FloatArray, View, augment, visible

TILES: Final = 4
TILE_SIDE: Final = 0.7  # of the mosaic's: the point where four tiles meet lies anywhere from .3 to .7 of its sides


def mosaic(
    pictures: Sequence[tuple[Image.Image, FloatArray]],
    size: int,
    configuration: AugmentConfiguration,
    generator: np.random.Generator,
) -> View:
    """Return a random mosaic.

    Args:
        pictures: four RGB pictures, each with its boxes [N, 4] (x1, y1, x2, y2 in its pixels).
        size: side of the mosaic, px.
        configuration: how far each of them may stray; boxes that the mosaic's border cuts off are dropped likewise.
        generator: source of the randomness.

    Returns:
        The view. Its `kept` counts through the boxes of all four, in order.
    """
    if len(pictures) != TILES:
        raise ValueError(f"a mosaic has {TILES} pictures, not {len(pictures)}")
    side = round(TILE_SIDE * size)
    left, top = generator.integers(0, 2 * side - size, 2, endpoint=True)
    canvas = np.empty((2 * side, 2 * side, 3), np.uint8)
    corners: list[FloatArray] = []
    numbers: list[NDArray[np.int64]] = []
    first = 0
    for tile, (image, boxes) in enumerate(pictures):
        row, column = divmod(tile, 2)
        view = augment(image, boxes, side, configuration, generator)
        canvas[row * side : (row + 1) * side, column * side : (column + 1) * side] = view.pixels
        centre = view.boxes[:, :2] * side + np.array([column * side - left, row * side - top], np.float32)
        half = view.boxes[:, 2:] * side / 2
        corners.append(np.concatenate((centre - half, centre + half), axis=1))
        numbers.append(view.kept + first)
        first += len(boxes)
    boxes, kept = visible(np.concatenate(corners), size, configuration.least_visible)
    return View(canvas[top : top + size, left : left + size].copy(), boxes, np.concatenate(numbers)[kept])

"""Turning a picture gives what Pillow's `rotate` gives."""

import numpy as np
import pytest
from PIL import Image

from training.data.augmentation.augment import colour_matrix
from training.data.augmentation.turn import turned_middle


def test_mirrored_and_recoloured_it_is_what_pillow_gives() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).resize((90, 90))
    colours = colour_matrix(0.07, 1.3, 1.2)
    turned = Image.fromarray(turned_middle(image, 5, 60)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    expected = np.asarray(turned.convert("RGB", tuple(colours.ravel().tolist())))
    found = turned_middle(image, 5, 60, colours, mirrored=True)
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 2  # `turned` was rounded before


@pytest.mark.parametrize("angle", [-7.0, -0.5, 0.0, 3.25, 30.0, 90.0])
@pytest.mark.parametrize(("side", "size"), [(90, 60), (91, 61), (35, 1)])
def test_it_is_what_pillow_gives(side: int, size: int, angle: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (side // 3, side // 3, 3), np.uint8)
    image = Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)
    first = (side - size) // 2
    expected = image.rotate(angle, Image.Resampling.BILINEAR).crop((first, first, first + size, first + size))
    found = turned_middle(image, angle, size)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - np.asarray(expected).astype(int)).max() <= 1

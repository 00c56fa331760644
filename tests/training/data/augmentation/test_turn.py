"""Turning a picture gives what Pillow's `rotate` gives."""

import numpy as np
import pytest
from PIL import Image

from training.data.augmentation.turn import turned_middle


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

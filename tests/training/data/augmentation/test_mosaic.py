"""Mosaics: four pictures around a point; every box is where its picture's object is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.training.data.augmentation.test_augment import NEUTRAL, corners, found
from training.data.augmentation.augment import AugmentConfiguration
from training.data.augmentation.mosaic import mosaic

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
STRAYING = AugmentConfiguration(least_visible=0, hue=0, saturation=1, exposure=1)


def pictures() -> list[tuple[Image.Image, NDArray[np.float32]]]:
    """Four white pictures with a coloured object each; the third has a box of nothing before it."""
    made = []
    for number, colour in enumerate(COLOURS):
        image = Image.new("RGB", (100, 80), "white")
        box = (20 + number, 10, 80, 60)
        image.paste(colour, box)
        boxes = [box] if number != 2 else [(0, 0, 4, 4), box]
        made.append((image, np.array(boxes, np.float32)))
    return made


OWNER = (0, 1, None, 2, 3)  # of each of the five boxes, the colour it is drawn in


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32))
def test_boxes_follow_the_pixels(seed: int) -> None:
    view = mosaic(pictures(), 128, STRAYING, np.random.default_rng(seed))

    assert view.pixels.shape == (128, 128, 3)
    placed = dict(zip(view.kept.tolist(), corners(view), strict=True))
    for number, owner in enumerate(OWNER):
        seen = None if owner is None else found(view.pixels, COLOURS[owner])
        if seen is not None and (seen[2:] - seen[:2] > 6).all():
            np.testing.assert_allclose(placed[number], seen, atol=2.5)


def test_the_tiles_meet_anywhere_near_the_middle() -> None:
    """Four plain pictures that fill their tiles: where the colour changes is where they meet."""
    plain = [(Image.new("RGB", (50, 50), colour), np.zeros((0, 4), np.float32)) for colour in COLOURS]
    meeting = []
    for seed in range(200):
        view = mosaic(plain, 100, NEUTRAL, np.random.default_rng(seed))
        first = found(view.pixels, COLOURS[0])
        assert first is not None
        meeting.append(first[2:])
        assert not len(view.boxes)
    assert np.min(meeting) == pytest.approx(30, abs=1)
    assert np.max(meeting) == pytest.approx(70, abs=1)


def test_boxes_cut_off_by_the_border_are_dropped_as_anywhere() -> None:
    whole = NEUTRAL.model_copy(update={"least_visible": 1.0})
    for seed in range(20):
        view = mosaic(pictures(), 128, whole, np.random.default_rng(seed))
        inside = corners(view)
        assert len(inside) < len(OWNER)
        assert (inside >= 0).all()
        assert (inside <= 128).all()


def test_the_same_randomness_gives_the_same_mosaic() -> None:
    first, again, other = (mosaic(pictures(), 64, STRAYING, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.pixels, other.pixels)


def test_it_takes_four() -> None:
    with pytest.raises(ValueError, match="4 pictures, not 3"):
        mosaic(pictures()[:3], 64, NEUTRAL, np.random.default_rng(0))

"""Random views: the boxes follow the pixels, whatever is done to them."""

from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from model.pictures.decoding import PADDING, letterbox
from training.data.augmentation.augment import (
    AugmentConfiguration,
    View,
    augment,
    colour_matrix,
    place,
    recolour,
    visible,
)

COLOURS: Final = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
NO_RECOLOURING: Final = {"hue": 0.0, "saturation": 1.0, "exposure": 1.0}
NEUTRAL: Final = AugmentConfiguration(jitter=0, smallest_scale=1, largest_scale=1, least_visible=0, **NO_RECOLOURING)
Boxes = NDArray[np.float32]


def drawn(size: tuple[int, int], boxes: Boxes) -> Image.Image:
    """Draw each box in a colour of its own on white."""
    image = Image.new("RGB", size, "white")
    for box, colour in zip(boxes.astype(int).tolist(), COLOURS, strict=False):
        image.paste(colour, tuple(box))
    return image


def found(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> Boxes | None:
    """Return the box x1, y1, x2, y2 around all pixels near a colour."""
    near = np.abs(pixels.astype(int) - colour).max(2) < 100
    if not near.any():
        return None
    rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def corners(view: View) -> Boxes:
    """Return a view's boxes as x1, y1, x2, y2 in pixels."""
    centre, sides = view.boxes[:, :2], view.boxes[:, 2:]
    edges = np.concatenate((centre - sides / 2, centre + sides / 2), axis=1)
    return (edges * len(view.pixels)).astype(np.float32)


@pytest.mark.parametrize("size", [(160, 90), (75, 150), (96, 96)])
def test_boxes_follow_the_pixels(size: tuple[int, int]) -> None:
    """Scaled, stretched, shifted, mirrored and cut: every box is where its colour is."""
    width, height = size
    boxes = np.array(
        [
            [0.05 * width, 0.1 * height, 0.45 * width, 0.5 * height],
            [0.55 * width, 0.05 * height, 0.95 * width, 0.3 * height],
            [0.5 * width, 0.6 * height, 0.9 * width, 0.97 * height],
        ]
    )
    boxes = boxes.round().astype(np.float32)
    image = drawn(size, boxes)
    configuration = AugmentConfiguration(
        jitter=0.4, smallest_scale=0.5, largest_scale=2.5, least_visible=0, **NO_RECOLOURING
    )
    seen = cut = mirrored = 0
    for seed in range(60):
        view = augment(image, boxes, 128, configuration, np.random.default_rng(seed))
        assert view.pixels.shape == (128, 128, 3)
        assert view.pixels.dtype == np.uint8
        assert view.boxes.dtype == np.float32
        for box, number in zip(corners(view), view.kept.tolist(), strict=True):
            place_found = found(view.pixels, COLOURS[number])
            assert place_found is not None
            np.testing.assert_allclose(place_found, box, atol=1.6, err_msg=f"{seed=} {number=}")
            seen += 1
            cut += int(box.min() == 0 or box.max() == 128)
        for number in set(range(3)) - set(view.kept.tolist()):
            left = found(view.pixels, COLOURS[number])
            assert left is None or (left[2:] - left[:2]).min() <= 4
        whole = [corners(view)[view.kept == number] for number in (0, 1)]
        mirrored += int(len(whole[0]) and len(whole[1]) and whole[0][0, 0] > whole[1][0, 0])
    assert seen > 120
    assert cut > 15
    assert 10 < mirrored < 45


def test_a_square_picture_without_change_is_letterboxed() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (12, 12, 3), np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    image = Image.fromarray(pixels)
    expected, frame = letterbox(image, 64)
    boxes = np.array([[16, 32, 80, 160]], np.float32)
    ways = set()
    for seed in range(6):
        view = augment(image, boxes, 64, NEUTRAL, np.random.default_rng(seed))
        mirrored = view.boxes[0, 0] > 0.5
        ways.add(bool(mirrored))
        # 8-bit HSV and back moves a level by a few
        difference = np.abs(view.pixels.astype(int) - (expected[:, ::-1] if mirrored else expected))
        assert difference.max() <= 8
        assert difference.mean() < 2
        straight = corners(view) if not mirrored else corners(view)[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (64, 0, 64, 0)
        np.testing.assert_allclose(straight, frame.to_input(boxes), atol=1e-4)
    assert ways == {True, False}


@pytest.mark.parametrize("size", [(90, 60), (50, 150), (401, 300)])
def test_placed_where_the_letterbox_has_it_it_is_the_letterbox(size: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    image = Image.fromarray(random.integers(0, 256, (*size[::-1], 3), np.uint8))
    expected, frame = letterbox(image, 96)
    rectangle = (frame.left, frame.top, frame.resized_width, frame.resized_height)
    np.testing.assert_array_equal(np.asarray(place(image, 96, rectangle)), expected)


def test_an_oblong_picture_without_change_is_a_shifted_letterbox() -> None:
    """Full length in one direction, anywhere in the other."""
    image = Image.new("RGB", (90, 60), (255, 0, 0))
    _, frame = letterbox(image, 96)
    tops = set()
    for seed in range(8):
        view = augment(image, np.array([[0, 0, 90, 60]], np.float32), 96, NEUTRAL, np.random.default_rng(seed))
        box = found(view.pixels, (255, 0, 0))
        assert box is not None
        np.testing.assert_allclose(box[[0, 2]], [0, 96])
        assert box[3] - box[1] == pytest.approx(frame.resized_height, abs=1)
        tops.add(int(box[1]))
        padding = view.pixels[: int(box[1])]
        assert (padding == PADDING).all()
    assert len(tops) > 3


def test_scale_and_aspect_stay_within_their_bounds() -> None:
    configuration = AugmentConfiguration(jitter=0.3, smallest_scale=0.4, largest_scale=0.7)
    image = Image.new("RGB", (100, 80))
    whole = np.array([[0, 0, 100, 80]], np.float32)
    sides = np.concatenate(
        [augment(image, whole, 200, configuration, np.random.default_rng(seed)).boxes[:, 2:] for seed in range(200)]
    )
    aspect = sides[:, 0] / sides[:, 1] / (100 / 80)
    scale = np.sqrt(sides.prod(1) / (1 * 0.8))  # letterboxed the picture fills the width, and .8 of the height
    assert 0.7 <= aspect.min() < 0.75 < 1.25 < aspect.max() <= 1.3
    assert 0.4 - 1e-4 <= scale.min() < 0.43 < 0.67 < scale.max() <= 0.7 + 1e-4


def test_a_view_is_brought_near_one_object_and_holds_it_whole() -> None:
    near = NEUTRAL.model_copy(update={"focus": 1.0})
    image = Image.new("RGB", (200, 100))
    boxes = np.array([[10, 10, 30, 50], [150, 20, 190, 40]], np.float32)  # the longer sides are 40 px
    sides = []
    for seed in range(200):
        view = augment(image, boxes, 64, near, np.random.default_rng(seed), np.array([0.0, 1.0]))
        (shown,) = view.boxes[view.kept == 1]
        assert (shown[:2] - shown[2:] / 2 >= -1e-5).all()
        assert (shown[:2] + shown[2:] / 2 <= 1 + 1e-5).all()
        assert shown[2] == pytest.approx(2 * shown[3], rel=1e-4)
        sides.append(shown[2])
    assert 0.3 - 1e-4 <= min(sides) < 0.35 < 0.85 < max(sides) <= 0.9 + 1e-4


def test_nothing_is_enlarged_more_than_five_times() -> None:
    near = NEUTRAL.model_copy(update={"focus": 1.0})
    boxes = np.array([[100, 50, 101, 51]], np.float32)
    view = augment(Image.new("RGB", (200, 100)), boxes, 128, near, np.random.default_rng(0), np.ones(1))
    assert view.boxes[0, 2] == pytest.approx(5 / 200, rel=1e-3)


@pytest.mark.parametrize(("focus", "chances"), [(0.0, np.ones(1)), (1.0, None), (1.0, np.zeros(0))])
def test_without_it_views_stay_as_they_were(focus: float, chances: NDArray[np.float64] | None) -> None:
    count = 0 if chances is not None and not len(chances) else 1
    boxes = np.array([[10, 10, 30, 50]] * count, np.float32).reshape(-1, 4)
    near = NEUTRAL.model_copy(update={"focus": focus})
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (100, 200, 3), np.uint8))
    plain = augment(image, boxes, 64, NEUTRAL, np.random.default_rng(0))
    view = augment(image, boxes, 64, near, np.random.default_rng(0), chances)
    np.testing.assert_array_equal(view.pixels, plain.pixels)
    np.testing.assert_array_equal(view.boxes, plain.boxes)


def test_recolouring_without_change_keeps_the_picture() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (40, 40, 3), np.uint8)
    changed = recolour(Image.fromarray(pixels), NEUTRAL, np.random.default_rng(0))
    assert np.abs(np.asarray(changed).astype(int) - pixels).max() <= 1


def grey_and_colour(pixels: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """How bright pixels [..., 3] are, and their distance and direction (red: 0) from the axis of greys."""
    red, green, blue = np.moveaxis(pixels.astype(np.float64), -1, 0)
    return (red + green + blue) / 3, (2 * red - green - blue) / 3 + 1j * (green - blue) / np.sqrt(3)


def test_recolouring_stays_within_its_bounds() -> None:
    configuration = AugmentConfiguration(hue=0.1, saturation=1.5, exposure=1.5)
    image = Image.new("RGB", (1, 1), (80, 120, 80))  # a green that no change brings to an end of the scale
    pixels = np.array(
        [recolour(image, configuration, np.random.default_rng(seed)).getpixel((0, 0)) for seed in range(300)]
    )
    grey, colour = grey_and_colour(pixels)
    grey_before, colour_before = grey_and_colour(np.array(image.getpixel((0, 0))))
    turns = np.angle(colour / colour_before) / (2 * np.pi)
    assert -0.11 <= turns.min() < -0.08 < 0.08 < turns.max() <= 0.11
    brightness = grey / grey_before
    for part in (brightness, np.abs(colour / colour_before) / brightness):
        assert 1 / 1.5 - 0.03 <= part.min() < 0.75 < 1.4 < part.max() <= 1.5 + 0.05


def test_recolouring_leaves_greys_grey() -> None:
    image = Image.new("RGB", (1, 1), (90, 90, 90))
    for seed in range(20):
        found = recolour(image, AugmentConfiguration(), np.random.default_rng(seed)).getpixel((0, 0))
        assert isinstance(found, tuple)
        assert max(found) - min(found) <= 1


@pytest.mark.parametrize(
    ("turn", "saturation", "exposure", "expected"),
    [
        (0, 1, 1, (200, 50, 20)),
        (1 / 3, 1, 1, (20, 200, 50)),
        (-1 / 3, 1, 1, (50, 20, 200)),
        (0, 0, 1, (90, 90, 90)),
        (0, 0.5, 1, (145, 70, 55)),
        (0, 1, 0.5, (100, 25, 10)),
        (0, 1, 2, (400, 100, 40)),
    ],
)
def test_the_colour_matrix(turn: float, saturation: float, exposure: float, expected: tuple[int, int, int]) -> None:
    found = colour_matrix(turn, saturation, exposure) @ [200, 50, 20, 1]
    assert found.tolist() == pytest.approx(expected)


def test_visible_clips_and_drops() -> None:
    boxes = np.array(
        [
            [10, 10, 30, 50],  # inside
            [-20, 0, 20, 40],  # half of it
            [-30, 0, 10, 40],  # a quarter
            [90, 90, 120, 200],  # the corner
            [120, 0, 140, 20],  # outside
            [50, 50, 51.5, 90],  # too narrow to see
        ],
        np.float32,
    )
    fractions, kept = visible(boxes, 100, 0.3)
    assert kept.tolist() == [0, 1]
    np.testing.assert_allclose(fractions, [[0.2, 0.3, 0.2, 0.4], [0.1, 0.2, 0.2, 0.4]])
    assert visible(boxes, 100, 0.25)[1].tolist() == [0, 1, 2]
    assert visible(boxes, 100, 0)[1].tolist() == [0, 1, 2, 3]
    fractions, kept = visible(np.zeros((0, 4), np.float32), 100, 0.3)
    assert fractions.shape == (0, 4)
    assert fractions.dtype == np.float32
    assert kept.shape == (0,)


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    size=st.sampled_from((32, 64, 96)),
    seed=st.integers(0, 2**32),
)
def test_every_view_is_a_square_with_boxes_inside(width: int, height: int, size: int, seed: int) -> None:
    image = Image.new("RGB", (width, height), (255, 0, 0))
    boxes = np.array([[0, 0, width, height], [width / 3, height / 4, width / 2, height]], np.float32)
    configuration = AugmentConfiguration(jitter=0.9, smallest_scale=0.1, largest_scale=10, least_visible=0)
    view = augment(image, boxes, size, configuration, np.random.default_rng(seed))
    assert view.pixels.shape == (size, size, 3)
    assert np.isfinite(view.boxes).all()
    assert (corners(view) > -1e-3).all()
    assert (corners(view) < size + 1e-3).all()
    assert (view.boxes[:, 2:] > 0).all()
    again = augment(image, boxes, size, configuration, np.random.default_rng(seed))
    np.testing.assert_array_equal(again.pixels, view.pixels)
    np.testing.assert_array_equal(again.boxes, view.boxes)


def test_a_picture_without_boxes() -> None:
    image = Image.new("RGB", (30, 20), "white")
    for seed in range(4):
        view = augment(image, np.zeros((0, 4), np.float32), 32, AugmentConfiguration(), np.random.default_rng(seed))
        assert view.boxes.shape == (0, 4)
        assert view.kept.shape == (0,)


def test_scales_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"smallest_scale 2 exceeds largest_scale 1\.6"):
        AugmentConfiguration(smallest_scale=2)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.geometry import Letterbox, box_area, box_iou

sides = st.integers(1, 5000)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_iou_of_known_boxes() -> None:
    overlap = box_iou(boxes((0, 0, 2, 2), (10, 10, 12, 14)), boxes((1, 1, 3, 3), (0, 0, 2, 2), (10, 10, 12, 12)))

    assert overlap == pytest.approx(np.array([[1 / 7, 1, 0], [0, 0, 0.5]]))


def test_iou_of_boxes_without_area_is_zero() -> None:
    point = boxes((1, 1, 1, 1))

    assert box_iou(point, point) == 0
    assert box_iou(boxes((3, 3, 1, 1)), boxes((0, 0, 4, 4))) == 0
    assert box_area(boxes((3, 3, 1, 1))) == 0


def test_iou_of_no_boxes_has_the_right_shape() -> None:
    assert box_iou(boxes(), boxes((0, 0, 1, 1))).shape == (0, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 12)] * 4), min_size=1, max_size=6))
def test_iou_agrees_with_counting_pixels(corners: list[tuple[int, int, int, int]]) -> None:
    sorted_corners = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    given_boxes = boxes(*sorted_corners)
    masks = np.zeros((len(corners), 12, 12), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, sorted_corners, strict=True):
        mask[y1:y2, x1:x2] = True
    both = (masks[:, None] & masks[None]).sum((2, 3))
    either = (masks[:, None] | masks[None]).sum((2, 3))

    assert box_iou(given_boxes, given_boxes) == pytest.approx(both / np.maximum(either, 1))


def test_a_wide_picture_is_centred_between_padding_above_and_below() -> None:
    frame = Letterbox(416, 768, 576)

    assert frame.scale == 416 / 768
    assert (frame.resized_width, frame.resized_height) == (416, 312)
    assert (frame.left, frame.top) == (0, 52)
    assert frame.to_picture(boxes((0, 52, 416, 364))) == pytest.approx(boxes((0, 0, 768, 576)))


def test_a_tall_picture_is_centred_between_padding_left_and_right() -> None:
    frame = Letterbox(416, 300, 1200)

    assert (frame.resized_width, frame.resized_height) == (104, 416)
    assert (frame.left, frame.top) == (156, 0)
    assert frame.to_picture(boxes((182, 104, 208, 208))) == pytest.approx(boxes((75, 300, 150, 600)))


def test_a_sliver_keeps_a_pixel() -> None:
    frame = Letterbox(416, 10_000, 3)

    assert (frame.resized_width, frame.resized_height) == (416, 1)
    assert frame.to_picture(boxes((0, frame.top, 416, frame.top + 1))) == pytest.approx(boxes((0, 0, 10_000, 3)))


def test_boxes_are_clipped_to_the_picture_even_from_infinity() -> None:
    frame = Letterbox(416, 768, 576)

    everywhere = boxes((-np.inf, -np.inf, np.inf, np.inf), (-5, 0, 500, 400))

    assert frame.to_picture(everywhere).tolist() == [[0, 0, 768, 576]] * 2


@settings(deadline=None)
@given(st.sampled_from([32, 320, 416, 608]), sides, sides)
def test_the_resized_picture_fits_and_touches_two_edges(size: int, width: int, height: int) -> None:
    frame = Letterbox(size, width, height)

    assert max(frame.resized_width, frame.resized_height) == size
    assert 0 <= frame.left <= frame.left + frame.resized_width <= size
    assert 0 <= frame.top <= frame.top + frame.resized_height <= size


@settings(deadline=None)
@given(sides, sides, st.tuples(*[st.floats(0, 1)] * 4))
def test_boxes_survive_the_way_there_and_back(
    width: int, height: int, fractions: tuple[float, float, float, float]
) -> None:
    frame = Letterbox(416, width, height)
    given_boxes = boxes(fractions) * np.array([width, height] * 2, np.float32)

    assert frame.to_picture(frame.to_input(given_boxes)) == pytest.approx(given_boxes, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, -1)])
def test_sizes_must_be_positive(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Letterbox(*arguments)

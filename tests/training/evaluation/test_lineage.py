"""Which labelled boxes are matched, and what their labels are worth."""

import numpy as np
import pytest

from tests.model_files import node, tiny_tree
from training.evaluation.lineage import LineageAccuracy, lineage_accuracy, match

TRUTH = (0, 0, 10, 10)


def floats(*values: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(values, np.float32)


def test_the_box_that_overlaps_most_is_taken() -> None:
    boxes = floats((0, 0, 10, 6), (0, 0, 10, 9), (50, 50, 60, 60))
    matches = match(floats(TRUTH, (80, 80, 90, 90)), boxes, floats(0.9, 0.01, 0.99))
    assert (matches.truth.tolist(), matches.box.tolist()) == ([0], [1])


def test_of_equal_overlaps_the_higher_objectness_is_taken() -> None:
    boxes = floats((0, 0, 10, 8), (0, 0, 8, 10), (0, 2, 10, 10))
    assert match(floats(TRUTH), boxes, floats(0.2, 0.7, 0.3)).box.tolist() == [1]


@pytest.mark.parametrize(("height", "matched"), [(5, [0]), (4.9, [])])
def test_it_takes_an_overlap_of_one_half(height: float, matched: list[int]) -> None:
    assert match(floats(TRUTH), floats((0, 0, 10, height)), floats(0.5)).truth.tolist() == matched


def test_truths_may_share_a_box() -> None:
    assert match(floats(TRUTH, TRUTH), floats(TRUTH), floats(0.5)).box.tolist() == [0, 0]


def test_nothing_to_match() -> None:
    nothing = np.empty((0, 4), np.float32)
    for truths, boxes in ((nothing, floats(TRUTH)), (floats(TRUTH), nothing), (nothing, nothing)):
        assert len(match(truths, boxes, np.ones(len(boxes), np.float32)).truth) == 0


def test_each_relation_is_counted() -> None:
    said = ["dog", "beagle", "poodle", "animal", "object", "animal", "cat", "car"]
    true = ["dog", "dog", "animal", "dog", "beagle", "bicycle", "dog", "bicycle"]
    accuracy = lineage_accuracy(
        tiny_tree(),
        np.array([node(name) for name in said], np.int32),
        np.array([node(name) for name in true], np.int32),
        0.5,
    )
    expected = LineageAccuracy(hierarchy_threshold=0.5, exact=1, more_specific=2, ancestor=2, wrong=3)
    assert accuracy == expected
    assert accuracy.accuracy == pytest.approx(3 / 8)


def test_nothing_matched_has_no_accuracy() -> None:
    nothing = np.empty(0, np.int32)
    assert lineage_accuracy(tiny_tree(), nothing, nothing, 0).accuracy is None

import numpy as np
import pytest

from model.answers.detections import RawDetections
from tests.model_files import tiny_metadata
from training.export.quantization.sensitivity import NO_COUNTERPART, disagreement, most_sensitive

TREE = tiny_metadata().trained_tree
BOXES = ((0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0))


def raw(
    *objectness: float, boxes: tuple[tuple[float, ...], ...] = BOXES, sure: str | None = None
) -> list[RawDetections]:
    count = len(objectness)
    logits = np.zeros((count, len(TREE)), np.float32)
    if sure is not None:
        logits[:, TREE.names.index(sure)] = 50
    places = np.array(boxes[:count], np.float32).reshape(-1, 4)
    return [RawDetections(places, np.array(objectness, np.float32), logits)]


def test_the_same_answers_do_not_disagree() -> None:
    assert disagreement(TREE, raw(0.9, 0.5), raw(0.9, 0.5)) == 0
    assert disagreement(TREE, raw(), raw(0.9)) == 0


def test_the_order_of_the_boxes_does_not_matter() -> None:
    assert disagreement(TREE, raw(0.9, 0.5), raw(0.5, 0.9, boxes=BOXES[::-1])) == 0


def test_changes_are_weighted_with_objectness() -> None:
    assert disagreement(TREE, raw(0.9, 0.1), raw(0.7, 0.1)) == pytest.approx(0.9 * 0.2, abs=1e-6)
    assert disagreement(TREE, raw(0.9, 0.1), raw(0.9, 0.3)) == pytest.approx(0.1 * 0.2, abs=1e-6)


def test_boxes_that_move_and_names_that_change_count() -> None:
    moved = ((0.0, 0.0, 10.0, 5.0),)
    assert disagreement(TREE, raw(0.5), raw(0.5, boxes=moved)) == pytest.approx(0.5)
    renamed = disagreement(TREE, raw(0.5, sure="vehicle"), raw(0.5, sure="animal"))
    assert renamed == pytest.approx(1, abs=0.01)


def test_a_lost_box_counts_most() -> None:
    assert disagreement(TREE, raw(0.5), raw()) == NO_COUNTERPART
    assert disagreement(TREE, raw(0.5), raw(0.5, boxes=BOXES[1:])) == NO_COUNTERPART


def test_layers_are_ordered_by_what_they_change() -> None:
    changes = {"a": 0.1, "b": 0.5, "c": 0.2}
    assert most_sensitive(list(changes), changes.__getitem__) == [("b", 0.5), ("c", 0.2), ("a", 0.1)]

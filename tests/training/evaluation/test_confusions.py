"""Kinds that are taken for others, on answers made by hand."""

from typing import Any

import numpy as np

from model.answers.alternatives import Alternatives
from model.answers.detections import Detections
from tests.model_files import node, tiny_tree
from training.evaluation.confusions import MOST, confusions

TREE = tiny_tree()
HERE, THERE = (0, 0, 10, 10), (20, 20, 30, 30)


def answers(*found: tuple[str, tuple[int, ...], float]) -> Detections:
    paths = [TREE.path(node(name)) for name, _, _ in found]
    padded = [[*path, *[-1] * (TREE.levels - len(path))] for path in paths]
    chances = np.array([[probability] * TREE.levels for _, _, probability in found], np.float32)
    padded_paths = np.array(padded, np.int32).reshape(-1, TREE.levels)
    return Detections(
        boxes=np.array([box for _, box, _ in found], np.float32).reshape(-1, 4),
        objectness=np.ones(len(found), np.float32),
        scores=np.ones(len(found), np.float32),
        nodes=np.array([node(name) for name, _, _ in found], np.int32),
        paths=padded_paths,
        probabilities=np.where(padded_paths >= 0, chances.reshape(-1, TREE.levels), np.float32(0)),
        alternatives=Alternatives.none(len(found)),
    )


def picture(truths: list[tuple[str, tuple[int, ...]]], *found: tuple[str, tuple[int, ...], float]) -> Any:
    boxes = np.array([box for _, box in truths], np.float32).reshape(-1, 4)
    return boxes, np.array([node(name) for name, _ in truths], np.int32), answers(*found)


def counted(*pictures: Any) -> list[tuple[str, str, int, float]]:
    found = confusions(TREE, pictures)
    return [(one.truth_name, one.said_name, one.count, round(one.probability, 3)) for one in found]


def test_they_are_counted_with_how_sure_the_answers_were() -> None:
    assert counted(
        picture([("cat", HERE), ("bicycle", THERE)], ("beagle", HERE, 0.5), ("cat", THERE, 0.9)),
        picture([("cat", HERE)], ("beagle", HERE, 0.75)),
    ) == [("cat", "beagle", 2, 0.625), ("bicycle", "cat", 1, 0.9)]


def test_what_is_right_as_far_as_it_goes_is_none() -> None:
    assert counted(picture([("dog", HERE), ("cat", THERE)], ("beagle", HERE, 1), ("animal", THERE, 1))) == []


def test_only_an_answer_at_the_place_counts_and_the_one_that_fits_best() -> None:
    assert counted(picture([("cat", HERE)], ("beagle", THERE, 1)), picture([("cat", HERE)]), picture([])) == []
    smaller = (0, 0, 10, 6)
    assert counted(picture([("cat", HERE)], ("beagle", smaller, 1), ("cat", HERE, 1))) == []


def test_no_more_than_the_most_frequent() -> None:
    names = [name for name in TREE.names if name not in {"object", "matter"}]
    pairs = [(one, other) for one in names for other in names if not TREE.same_lineage(node(one), node(other))]
    assert len(pairs) > MOST
    found = counted(*(picture([(one, HERE)], (other, HERE, 1)) for one, other in [*pairs, pairs[-1]]))
    assert len(found) == MOST
    assert found[0] == (*pairs[-1], 2, 1)

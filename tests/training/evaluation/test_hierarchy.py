"""Depth, calibration and specificity on the tiny tree, by hand."""

import numpy as np
import pytest

from model.wordtree import IntArray
from tests.model_files import node, tiny_metadata, tiny_tree
from training.evaluation.hierarchy import accuracy_by_depth, calibration, information, specificity_curve

TREE = tiny_tree()
EVERY = np.ones(len(TREE), bool)


def nodes(*names: str) -> IntArray:
    return np.array([node(name) for name in names], np.int32)


def paths(*names: str) -> IntArray:
    table = np.full((len(names), TREE.levels), -1, np.int32)
    for row, name in enumerate(names):
        path = TREE.path(node(name))
        table[row, : len(path)] = path
    return table


def test_depths_of_every_relation() -> None:
    said = nodes("beagle", "dog", "cat", "beagle", "bicycle")
    true = nodes("beagle", "beagle", "beagle", "dog", "cat")
    found = accuracy_by_depth(TREE, said, true)
    assert [(one.depth, one.right, one.stopped, one.wrong) for one in found] == [
        (0, 5, 0, 0),
        (1, 4, 0, 1),
        (2, 3, 0, 2),
        (3, 1, 1, 1),  # a wrong cat stays wrong where its path has ended
    ]
    assert accuracy_by_depth(TREE, nodes(), nodes()) == ()


def test_calibration_counts_what_is_known() -> None:
    probabilities = np.array([[1, 0.95, 0.65, 0.35], [0.55, 0.25, 0.15, 0]], np.float32)
    found = calibration(TREE, paths("beagle", "bicycle"), probabilities, nodes("dog", "cat"), EVERY)
    # The beagle below a dog is unknown. Right: object, animal, dog, and object again; wrong: vehicle, bicycle.
    filled = [one for one in found.bins if one.count]
    assert [(one.low, one.count, one.right) for one in filled] == [
        (0.1, 1, 0),
        (0.2, 1, 0),
        (0.5, 1, 1),
        (0.6, 1, 1),
        (0.9, 2, 1),
    ]
    assert [one.mean_probability for one in filled] == pytest.approx([0.15, 0.25, 0.55, 0.65, 0.975])
    assert found.expected_error == pytest.approx((0.15 + 0.25 + 0.45 + 0.35 + 2 * 0.025) / 6)


def test_only_children_do_not_count() -> None:
    decided = EVERY.copy()
    decided[nodes("object", "animal")] = False
    found = calibration(TREE, paths("dog"), np.array([[1, 1, 0.5, 0]], np.float32), nodes("dog"), decided)
    assert sum(one.count for one in found.bins) == 1
    nothing = calibration(TREE, paths(), np.empty((0, TREE.levels), np.float32), nodes(), EVERY)
    assert nothing.expected_error is None
    assert all(one.right is None for one in nothing.bins)


def test_information_is_of_the_model_s_leaves() -> None:
    trained = tiny_metadata().trained_nodes  # leaves: bicycle, truck, cat, beagle, poodle
    found = information(TREE, trained)
    assert found[node("object")] == pytest.approx(0)
    assert found[node("beagle")] == found[node("bicycle")] == pytest.approx(1)
    assert found[node("dog")] == pytest.approx(1 - np.log(2) / np.log(5))
    assert found[node("vehicle")] == pytest.approx(1 - np.log(2) / np.log(5))
    assert (information(TREE, nodes("object", "animal")) == 1).all()  # a single leaf: nothing to tell apart


def test_the_curve() -> None:
    trained, true = tiny_metadata().trained_nodes, nodes("beagle", "beagle")
    labels = np.stack([nodes("beagle", "cat"), nodes("dog", "object")])
    first, second = specificity_curve(TREE, trained, labels, true, (0.1, 0.9))
    assert (first.hierarchy_threshold, first.accuracy) == (0.1, 0.5)
    assert first.information == pytest.approx(0.5)
    assert (second.accuracy, second.depth) == (1, 1)
    assert second.information == pytest.approx((1 - np.log(2) / np.log(5)) / 2)
    (empty,) = specificity_curve(TREE, trained, np.empty((1, 0), np.int32), nodes(), (0.5,))
    assert (empty.accuracy, empty.information, empty.depth) == (None, None, None)

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.answers.suppression import SUPPRESSED_AT_ONCE, lineage_suppression
from model.geometry import box_iou
from model.tree_files import packaged_tree
from model.wordtree import WordTree

# Roots 0 and 1; below 0 a line 2, 3, which has 4 (with 6 and 7) and 5 (with 8); 6 has 9 and 10, and 9 has 11.
# 6, 7 and 8 have the depth from which on labels are near relatives.
TREE = WordTree([f"n{node}" for node in range(12)], [-1, -1, 0, 2, 3, 3, 4, 4, 5, 6, 6, 9])


def same_object(iou: float, one: int, other: int, threshold: float) -> bool:
    """The rule, once more."""
    paths = TREE.path(one), TREE.path(other)
    shared = sum(a == b for a, b in zip(*paths, strict=False))
    if shared == min(map(len, paths)):
        return iou > threshold
    return iou > max(threshold, 0.6 if shared > 4 else 0.7)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    count = draw(st.integers(0, 12))
    numbers = draw(st.lists(st.tuples(*[st.integers(0, 6)] * 4), min_size=count, max_size=count))
    boxes = np.array([(x, y, x + 1 + w, y + 1 + h) for x, y, w, h in numbers], np.float32).reshape(-1, 4)
    scores = draw(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.9]), min_size=count, max_size=count))
    nodes = draw(st.lists(st.integers(0, len(TREE) - 1), min_size=count, max_size=count))
    return boxes, np.array(scores, np.float32), np.array(nodes, np.int32)


@settings(deadline=None)
@given(crowds(), st.sampled_from([0.0, 0.3, 0.45, 1.0]))
def test_suppression_agrees_with_the_rule_box_by_box(crowd: tuple[Any, Any, Any], threshold: float) -> None:
    boxes, scores, nodes = crowd
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda index: (-scores[index], *boxes[index], nodes[index])):
        ious = box_iou(boxes[[index]], boxes[kept])[0]
        if not any(
            same_object(iou, nodes[index], nodes[other], threshold) for iou, other in zip(ious, kept, strict=True)
        ):
            kept.append(index)

    assert lineage_suppression(boxes, scores, nodes, TREE, threshold).tolist() == kept
    assert lineage_suppression(boxes, scores, nodes, TREE, threshold, limit=2).tolist() == kept[:2]


def test_suppression_of_more_boxes_than_are_compared_at_once() -> None:
    random = np.random.default_rng(3)
    corners, count = random.uniform(0, 60, (500, 2)), 500
    boxes = np.concatenate([corners, corners + random.uniform(5, 25, (count, 2))], axis=1).astype(np.float32)
    scores, nodes = random.random(count).astype(np.float32), random.integers(0, len(TREE), count).astype(np.int32)
    iou = box_iou(boxes, boxes)
    kept: list[int] = []
    for index in np.argsort(-scores).tolist():
        if not any(same_object(iou[index, other], nodes[index], nodes[other], 0.3) for other in kept):
            kept.append(index)

    assert count > len(kept) > SUPPRESSED_AT_ONCE
    assert lineage_suppression(boxes, scores, nodes, TREE, 0.3).tolist() == kept
    assert lineage_suppression(boxes, scores, nodes, TREE, 0.3, limit=150).tolist() == kept[:150]


@settings(deadline=None)
@given(crowds(), st.randoms(use_true_random=False))
def test_the_order_boxes_come_in_decides_nothing(crowd: tuple[Any, Any, Any], random: Any) -> None:
    boxes, scores, nodes = crowd
    order = np.array(random.sample(range(len(boxes)), len(boxes)), dtype=np.intp)
    kept = lineage_suppression(boxes, scores, nodes, TREE, 0.3)
    again = order[lineage_suppression(boxes[order], scores[order], nodes[order], TREE, 0.3)]

    for column in (boxes, scores, nodes):
        np.testing.assert_array_equal(column[kept], column[again])


@pytest.mark.parametrize(
    ("one", "other", "iou", "count"),
    [
        ("dog", "beagle", 0.46, 1),
        ("dog", "beagle", 0.44, 2),
        ("mountain bike", "bicycle-built-for-two", 0.61, 1),
        ("mountain bike", "bicycle-built-for-two", 0.59, 2),
        ("dog", "cat", 0.61, 1),
        ("person", "horse", 0.69, 2),  # a rider and his horse
        ("dog", "studio couch", 0.69, 2),
        ("person", "horse", 0.71, 1),
        ("object", "matter", 0.71, 1),
    ],
)
def test_things_and_one_thing(one: str, other: str, iou: float, count: int) -> None:
    tree = packaged_tree()
    boxes = np.array([(0, 0, 10, 10), (0, 0, 10, 10 * iou)], np.float32)
    nodes = np.array([next(node for node, name in enumerate(tree.names) if name == wanted) for wanted in (one, other)])
    kept = lineage_suppression(boxes, np.array([0.5, 0.9], np.float32), nodes.astype(np.int32), tree, 0.45)
    assert kept.tolist() == [1, 0][:count]

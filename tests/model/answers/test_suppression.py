from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.answers.suppression import SUPPRESSED_AT_ONCE, lineage_suppression
from model.geometry import box_iou
from tests.model_files import tiny_tree

TREE = tiny_tree()


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
        same_object = [
            box_iou(boxes[[index]], boxes[[other]])[0, 0] > threshold
            and TREE.same_lineage(int(nodes[index]), int(nodes[other]))
            for other in kept
        ]
        if not any(same_object):
            kept.append(index)

    assert lineage_suppression(boxes, scores, nodes, TREE, threshold).tolist() == kept
    assert lineage_suppression(boxes, scores, nodes, TREE, threshold, limit=2).tolist() == kept[:2]


def test_suppression_of_more_boxes_than_are_compared_at_once() -> None:
    random = np.random.default_rng(3)
    corners, count = random.uniform(0, 60, (500, 2)), 500
    boxes = np.concatenate([corners, corners + random.uniform(5, 25, (count, 2))], axis=1).astype(np.float32)
    scores, nodes = random.random(count).astype(np.float32), random.integers(0, len(TREE), count).astype(np.int32)
    overlap = box_iou(boxes, boxes) > 0.3
    kept: list[int] = []
    for index in np.argsort(-scores).tolist():
        if not any(overlap[index, other] and TREE.same_lineage(int(nodes[index]), int(nodes[other])) for other in kept):
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

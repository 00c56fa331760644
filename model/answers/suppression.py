"""Which of the boxes that overlap show one object."""

import numpy as np
from numpy.typing import NDArray

from model.geometry import box_iou
from model.wordtree import WordTree

Floats = NDArray[np.float32]
Nodes = NDArray[np.int32]

SUPPRESSED_AT_ONCE = 128
"""Boxes that suppression compares with all the others in one go: more at once compare many that are gone by then."""


def lineage_suppression(
    boxes: Floats,
    scores: Floats,
    nodes: Nodes,
    tree: WordTree,
    iou_threshold: float,
    *,
    limit: int | None = None,
) -> NDArray[np.intp]:
    """Keep one box an object, where labels on one line from root to leaf may name the same object.

    A 'dog' and a 'beagle' at one place are one animal; a 'dog' and a 'sofa' there are two things. Boxes are
    taken by descending score (of equal ones the one further left, then by its other edges and its label, so that
    the order they come in decides nothing); a box goes if its intersection over union with a kept one exceeds the
    threshold and one of the two labels is the other or lies below it.

    Args:
        boxes: [N, 4]; x1, y1, x2, y2.
        scores: [N].
        nodes: [N], indices of `tree`.
        tree: what the labels are compared in.
        iou_threshold: 0 to 1.
        limit: stop once so many are kept; None keeps all.

    Returns:
        Indices of the kept boxes by descending score.
    """
    order = np.lexsort((nodes, *boxes.T[::-1], -scores))  # by its last key first
    kept: list[NDArray[np.intp]] = []
    count = 0
    while order.size and (limit is None or count < limit):
        block, order = order[:SUPPRESSED_AT_ONCE], order[SUPPRESSED_AT_ONCE:]
        block = block[_best_of_their_objects(_same_object(boxes, nodes, block, block, tree, iou_threshold))]
        kept.append(block)
        count += len(block)
        if order.size and (limit is None or count < limit):
            order = order[~_same_object(boxes, nodes, block, order, tree, iou_threshold).any(axis=0)]
    return np.concatenate((order[:0], *kept))[:limit]


def _same_object(
    boxes: Floats, nodes: Nodes, these: NDArray[np.intp], those: NDArray[np.intp], tree: WordTree, iou_threshold: float
) -> NDArray[np.bool_]:
    """Tell which of these boxes [N] show the same object as which of those [M]: bool [N, M]."""
    same = box_iou(boxes[these], boxes[those]) > iou_threshold
    one, other = same.nonzero()
    same[one, other] = tree.same_lineage(nodes[these[one]], nodes[those[other]])
    return same


def _best_of_their_objects(same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which boxes no better one drops, bool [N], where `same` [N, N] compares boxes by descending score."""
    stands = np.ones(len(same), dtype=np.bool_)
    worse = np.triu(same, 1)
    for row in np.flatnonzero(worse.any(axis=1)).tolist():
        if stands[row]:
            stands &= ~worse[row]
    return stands

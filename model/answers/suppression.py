"""Which of the boxes that overlap show one object.

A detector puts several boxes on an object that it cannot name: half a bicycle is a mountain bike in one and a tandem in
the other. Two boxes are one object if they overlap by more than an IoU that depends on how near their labels are:

    on one line from root to leaf (dog, beagle)         the threshold asked for, .45 by default
    near relatives (mountain bike, tandem; cat, dog)    `NEAR_IOU`, or the threshold if that is more
    any others (dog, sofa; rider, horse)                `ANY_IOU`, or the threshold if that is more

Measured on the val sets at the default thresholds, against lines alone: no object that was found is lost, and half as
many have two boxes or more (docs/answers.md). Of the 32,205 labelled objects of the train sets 179 pairs of other lines
overlap by that much, and many of them are one thing labelled twice: pizza and table, truck and car.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.geometry import box_iou
from model.wordtree import WordTree

Floats = NDArray[np.float32]
Nodes = NDArray[np.int32]

SUPPRESSED_AT_ONCE = 128
"""Boxes that suppression compares with all the others in one go: more at once compare many that are gone by then."""

NEAR_DEPTH: Final = 4
"""Two labels are near relatives if they share the concept of this depth: below object, whole, artifact and
instrumentality, say a container."""

NEAR_IOU: Final = 0.6
ANY_IOU: Final = 0.7


def lineage_suppression(
    boxes: Floats,
    scores: Floats,
    nodes: Nodes,
    tree: WordTree,
    iou_threshold: float,
    *,
    limit: int | None = None,
    across_lines: bool = True,
) -> NDArray[np.intp]:
    """Keep one box an object.

    Boxes are taken by descending score (of equal ones the one further left, then by its other edges and its label, so
    that the order they come in decides nothing). A box goes if it shows the same object as a kept one.

    Args:
        boxes: [N, 4]; x1, y1, x2, y2.
        scores: [N].
        nodes: [N], indices of `tree`.
        tree: what the labels are compared in.
        iou_threshold: 0 to 1, for labels on one line.
        limit: stop once so many are kept; None keeps all.
        across_lines: whether boxes can be one object whose labels do not lie on one line. darknet's never are.

    Returns:
        Indices of the kept boxes by descending score.
    """
    order = np.lexsort((nodes, *boxes.T[::-1], -scores))  # by its last key first
    crowd = _Crowd(boxes, nodes, _families(tree, nodes), tree, iou_threshold, across_lines)
    kept: list[NDArray[np.intp]] = []
    count = 0
    while order.size and (limit is None or count < limit):
        block, order = order[:SUPPRESSED_AT_ONCE], order[SUPPRESSED_AT_ONCE:]
        block = block[_best_of_their_objects(crowd.same_object(block, block))]
        kept.append(block)
        count += len(block)
        if order.size and (limit is None or count < limit):
            order = order[~crowd.same_object(block, order).any(axis=0)]
    return np.concatenate((order[:0], *kept))[:limit]


class _Crowd(NamedTuple):
    """Boxes that may show the same objects; `families` are their labels' ancestors of `NEAR_DEPTH`."""

    boxes: Floats
    nodes: Nodes
    families: Nodes
    tree: WordTree
    iou_threshold: float
    across_lines: bool

    def same_object(self, these: NDArray[np.intp], those: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Tell which of these boxes [N] show the same object as which of those [M]: bool [N, M]."""
        iou = box_iou(self.boxes[these], self.boxes[those])
        same = iou > self.iou_threshold
        row, column = same.nonzero()
        one, other = these[row], those[column]
        same[row, column] = self.tree.same_lineage(self.nodes[one], self.nodes[other])
        if self.across_lines:
            near = (self.families[one] == self.families[other]) & (self.families[one] >= 0)
            least = np.where(near, np.float32(NEAR_IOU), np.float32(ANY_IOU))
            same[row, column] |= iou[row, column] > least
        return same


def _families(tree: WordTree, nodes: Nodes) -> Nodes:
    """Return the ancestor of `NEAR_DEPTH` of each node, or itself; -1 for nodes above that."""
    found = nodes.copy()
    while (deeper := tree.depths[found] > NEAR_DEPTH).any():
        found[deeper] = tree.parents[found[deeper]]
    found[tree.depths[nodes] < NEAR_DEPTH] = -1
    return found


def _best_of_their_objects(same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which boxes no better one drops, bool [N], where `same` [N, N] compares boxes by descending score."""
    stands = np.ones(len(same), dtype=np.bool_)
    worse = np.triu(same, 1)
    for row in np.flatnonzero(worse.any(axis=1)).tolist():
        if stands[row]:
            stands &= ~worse[row]
    return stands

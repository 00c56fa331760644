"""What a flat score does not tell: how far down the tree answers are right, and whether probabilities are honest.

All of it speaks of matched boxes, see `training.evaluation.lineage`: M of them, with their true nodes and what the
model says of them. Nodes are indices of the whole tree.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from model.wordtree import BoolArray, IntArray, WordTree

BINS = 10
CURVE_THRESHOLDS = tuple(round(step / 20, 2) for step in range(21))
"""Hierarchy thresholds of the specificity-accuracy curve: 0, .05 ... 1."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DepthAccuracy(_Record):
    """At one depth: of the matched boxes whose true node lies as deep or deeper, what the label says there.

    Attributes:
        depth: 0 for the roots.
        right: the label's path has the true path's node there.
        stopped: the label ends above, on the true path.
        wrong: the label left the true path, there or above.
    """

    depth: int
    right: int
    stopped: int
    wrong: int


def accuracy_by_depth(tree: WordTree, labels: IntArray, nodes: IntArray) -> tuple[DepthAccuracy, ...]:
    """Compare labels [M] with true nodes [M], depth by depth."""
    said, true = _path_table(tree, labels), _path_table(tree, nodes)
    same = said == true
    # Right at a depth is right at all depths above, as a node has one path.
    wrong = np.cumsum(~same & (said >= 0) & (true >= 0), axis=1) > 0
    rows = []
    for depth in range(tree.levels):
        deep = true[:, depth] >= 0
        if deep.any():
            right, off = deep & same[:, depth], deep & wrong[:, depth]
            rows.append(
                DepthAccuracy(
                    depth=depth,
                    right=int(right.sum()),
                    stopped=int((deep & ~right & ~off).sum()),
                    wrong=int(off.sum()),
                )
            )
    return tuple(rows)


def _path_table(tree: WordTree, nodes: IntArray) -> IntArray:
    """Return the path of each node, [M, levels], -1 after its end."""
    table = np.full((len(nodes), tree.levels), -1, np.int32)
    for row, node in enumerate(nodes.tolist()):
        path = tree.path(node)
        table[row, : len(path)] = path
    return table


class CalibrationBin(_Record):
    """Probabilities from `low` (inclusive) to `high`: how many, their mean, and the share that was right."""

    low: float
    high: float
    count: int
    mean_probability: float | None
    right: float | None


class Calibration(_Record):
    """How honest path probabilities are.

    Attributes:
        bins: the reliability table.
        expected_error: mean over the probabilities of |share right - mean probability| of their bin (expected
            calibration error); None where there are none.
    """

    bins: tuple[CalibrationBin, ...]
    expected_error: float | None


def calibration(
    tree: WordTree, paths: IntArray, probabilities: NDArray[np.float32], nodes: IntArray, decided: BoolArray
) -> Calibration:
    """Compare the probabilities along paths with how often they were right.

    A node of a path is right if it is the true node or above it. Below the true node nothing is known, so nothing
    counts there.

    Args:
        tree: the whole tree.
        paths: [M, D], walked to the leaves, -1 after the end.
        probabilities: [M, D].
        nodes: [M], the true nodes.
        decided: bool [len(tree)], nodes that the model could choose among siblings; an only child has its parent's
            probability and would count it twice.
    """
    said = np.maximum(paths, 0)
    true = np.broadcast_to(nodes[:, None], paths.shape)
    right = np.asarray(tree.is_within(true, said))
    below = np.asarray(tree.is_within(said, true)) & (said != true)
    counts = (paths >= 0) & ~below & decided[said]
    values, hits = probabilities[counts].astype(np.float64), right[counts]
    which = np.minimum((values * BINS).astype(int), BINS - 1)
    bins, error = [], 0.0
    for number in range(BINS):
        inside = which == number
        count = int(inside.sum())
        mean, share = (float(values[inside].mean()), float(hits[inside].mean())) if count else (None, None)
        if mean is not None and share is not None:
            error += count * abs(mean - share)
        bins.append(
            CalibrationBin(low=number / BINS, high=(number + 1) / BINS, count=count, mean_probability=mean, right=share)
        )
    return Calibration(bins=tuple(bins), expected_error=error / len(values) if len(values) else None)


class CurvePoint(_Record):
    """At one hierarchy threshold, over the matched boxes; None where there are none.

    Attributes:
        accuracy: share of labels on one line from root to leaf with the true node.
        information: mean of 1 - log(leaves beneath the label) / log(all leaves) of the model's nodes, 0 for a wrong
            label (Deng et al., "Hedging your bets", CVPR 2012): 1 for a leaf, 0 for a root of everything.
        depth: mean depth of the labels.
    """

    hierarchy_threshold: float
    accuracy: float | None
    information: float | None
    depth: float | None


def specificity_curve(
    tree: WordTree, trained: IntArray, labels: NDArray[np.int32], nodes: IntArray, thresholds: Sequence[float]
) -> tuple[CurvePoint, ...]:
    """Return the trade between saying much and being right.

    Args:
        tree: the whole tree.
        trained: the nodes that the model has; `information` counts their leaves.
        labels: [thresholds, M], the labels walked at each of them.
        nodes: [M], the true nodes.
        thresholds: see `CURVE_THRESHOLDS`.
    """
    informative = information(tree, trained)
    points = []
    for threshold, said in zip(thresholds, labels, strict=True):
        if not len(nodes):
            points.append(CurvePoint(hierarchy_threshold=threshold, accuracy=None, information=None, depth=None))
            continue
        right = np.asarray(tree.same_lineage(said, nodes))
        points.append(
            CurvePoint(
                hierarchy_threshold=threshold,
                accuracy=float(right.mean()),
                information=float(np.where(right, informative[said], 0).mean()),
                depth=float(tree.depths[said].mean()),
            )
        )
    return tuple(points)


def information(tree: WordTree, trained: IntArray) -> NDArray[np.float64]:
    """Return how much each node of the tree says, 0 to 1, see `CurvePoint`; 1 for nodes that are not trained."""
    leaves = np.zeros(len(tree), np.int64)
    held = np.isin(np.arange(len(tree)), trained)
    parents_of_held = set(tree.parents[trained].tolist())
    for node in reversed(trained.tolist()):
        leaves[node] += node not in parents_of_held
        parent = int(tree.parents[node])
        if parent >= 0:
            leaves[parent] += leaves[node]
    total = int(leaves[tree.roots.start : tree.roots.stop].sum())
    if total < 2:
        return np.ones(len(tree))
    return np.where(held, 1 - np.log(np.maximum(leaves, 1)) / np.log(total), 1.0)

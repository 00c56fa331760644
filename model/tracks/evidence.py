"""What the frames of a track say together of what it shows.

- Each frame says a conditional probability for every node of the tree. The track's are their weighted geometric mean,
  in every sibling group: late frames count more, and so do those that are sure that there is an object.
- Frames that differ are further evidence, and the mean becomes sharper with them, as independent witnesses who agree
  are believed more than one. A frame that says the same as those before says nothing new: an hour of a still picture
  leaves the label of the picture.
- The label is walked to as in a picture. It then stays: a more particular one, or another, has to be more likely than
  the threshold asks by `STEP`; only where the label itself is no longer likely enough it goes back at once.

The constants are those of the least wrong names among those that change at most a fifth as often as in single frames
(`training.proofs.moving_stills`).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.answers.walk import FloatArray, Walk, walk
from model.wordtree import IntArray, WordTree

Doubles = NDArray[np.float64]

MEMORY: Final = 4.0
"""Seconds after which a frame counts half."""
NEW: Final = 0.2
"""Difference to what is known, in probability moved to other leaves, from which a frame is a witness of its own."""
TRUST: Final = 0.25
"""Power of the number of witnesses that the mean is sharpened by. 1: they are independent; 0: a mean stays a mean."""
MOST_WITNESSES: Final = 4.0
STEP: Final = 0.2
"""Probability above the threshold that a new name needs, where a track has one already."""
FLOOR: Final = np.log(1e-6)
"""Least logarithm of a conditional probability: one frame cannot rule out for good what others see."""


class Evidence:
    """The evidence of K tracks; at first there are none.

    Args:
        tree: the trained one, whose nodes the logits are of.
    """

    def __init__(self, tree: WordTree) -> None:
        self._tree = tree
        self._sums: Doubles = np.zeros((0, len(tree)))
        self._weights: Doubles = np.zeros(0)
        self._witnesses: Doubles = np.zeros(0)

    def __len__(self) -> int:
        return len(self._weights)

    def begin(self, count: int) -> None:
        """Begin some tracks, of which nothing is known, behind those there are."""
        self._sums = np.concatenate([self._sums, np.zeros((count, len(self._tree)))])
        self._weights = np.concatenate([self._weights, np.zeros(count)])
        self._witnesses = np.concatenate([self._witnesses, np.zeros(count)])

    def keep(self, rows: NDArray[np.generic]) -> None:
        """Forget all tracks but some."""
        self._sums, self._weights, self._witnesses = self._sums[rows], self._weights[rows], self._witnesses[rows]

    def add(self, rows: NDArray[np.int64], logits: FloatArray, weights: FloatArray, seconds: Doubles) -> None:
        """Take in a frame.

        Args:
            rows: [M], the tracks that are in it.
            logits: float32 [M, T], of each one's box.
            weights: [M], how much they count, above 0: the boxes' objectness.
            seconds: [M], since each one's last frame.
        """
        says = log_conditionals(self._tree, logits)
        before = self._weights[rows]
        known = log_conditionals(self._tree, self._sums[rows] / np.where(before, before, 1)[:, None])
        leaves = leaf_probabilities(self._tree, np.concatenate([says, known]))
        moved = 0.5 * np.abs(leaves[: len(rows)] - leaves[len(rows) :]).sum(axis=1)
        fade = 0.5 ** (seconds / MEMORY)
        more = 1 + (self._witnesses[rows] - 1) * fade + np.minimum(1, moved / NEW)
        self._witnesses[rows] = np.where(before, more, 1)
        self._sums[rows] = fade[:, None] * self._sums[rows] + weights[:, None] * says
        self._weights[rows] = fade * before + weights

    def logits(self, rows: NDArray[np.int64]) -> FloatArray:
        """Return what all frames of some tracks [M] say, as logits [M, T] of the tree's nodes."""
        sharper = np.minimum(self._witnesses[rows], MOST_WITNESSES) ** TRUST
        pooled: FloatArray = ((sharper / self._weights[rows])[:, None] * self._sums[rows]).astype(np.float32)
        return pooled


def log_conditionals(tree: WordTree, logits: FloatArray | Doubles) -> Doubles:
    """Return the logarithms of the conditional probabilities [K, T] of logits [K, T], none below `FLOOR`."""
    doubles = logits.astype(np.float64)
    doubles -= np.maximum.reduceat(doubles, tree.group_first, axis=1)[:, tree.group_of]
    doubles -= np.log(np.add.reduceat(np.exp(doubles), tree.group_first, axis=1))[:, tree.group_of]
    return np.maximum(doubles, FLOOR)


def leaf_probabilities(tree: WordTree, conditionals: Doubles) -> Doubles:
    """Return the absolute probabilities [K, L] of the leaves.

    Args:
        tree: the trained one.
        conditionals: [K, T], logarithms of conditional probabilities.
    """
    absolute = conditionals.T.copy()  # node by node, a row of which is read and written as one
    for nodes in tree.by_depth[1:]:
        absolute[nodes] += absolute[tree.parents[nodes]]
    leaves: Doubles = np.exp(absolute[tree.leaves]).T
    return leaves


def settle(
    tree: WordTree,
    logits: FloatArray,
    labels: IntArray,
    *,
    threshold: float,
    under: tuple[int, ...] = (),
    unproven: NDArray[np.bool_] | None = None,
) -> Walk:
    """Answer for tracks: walk, and keep the label that a track has while that is likely enough and nothing is surer.

    Args:
        tree: the trained one.
        logits: float32 [K, T], the tracks' evidence.
        labels: [K], the label that each has; -1 for none. One that is not within `under` is not kept.
        threshold, under, unproven: see `walk`.
    """
    answers = walk(tree, logits, threshold=threshold, under=under, unproven=unproven)
    surer = ends(answers, min(1.0, threshold + STEP), under, unproven)
    nodes, lengths = answers.nodes.copy(), answers.lengths.copy()
    kept = labels >= 0
    if under:
        kept &= tree.is_within(labels[:, None], np.array(under)[None, :]).any(1)
    for row in np.flatnonzero(kept & (nodes >= 0)).tolist():
        held, sure = int(labels[row]), int(surer[row])
        if tree.is_within(int(nodes[row]), held) and not (sure >= 0 and tree.is_within(sure, held)):
            nodes[row] = held  # it is still likely enough, and nothing below it is surely so
        elif sure >= 0:
            nodes[row] = sure
        lengths[row] = tree.depths[nodes[row]] + 1
    beyond = np.arange(tree.levels) >= lengths[:, None]
    return Walk(
        nodes,
        np.where(beyond, np.int32(-1), answers.paths),
        np.where(beyond, np.float32(0), answers.probabilities),
        lengths,
    )


def ends(answers: Walk, threshold: float, under: tuple[int, ...], unproven: NDArray[np.bool_] | None) -> IntArray:
    """Return where walks with a higher threshold would end, int32 [K]; -1: nowhere.

    The walk always goes to the likeliest child, so these are the beginnings of the walks at hand.

    Args:
        answers: walks with a threshold that is no higher.
        threshold: the higher one.
        under, unproven: those of the walks.
    """
    paths, rows = answers.paths, np.arange(len(answers.nodes))
    stands = (paths >= 0) & (answers.probabilities >= np.float32(threshold))
    lengths = stands.sum(1)
    if under:
        starts = np.isin(paths, under).argmax(1)
        lengths[~stands[rows, starts]] = 0
    else:
        starts = np.zeros(len(rows), np.int64)
        lengths = np.maximum(lengths, 1)  # a root always stands
    if unproven is not None:
        while (back := (lengths > starts + 1) & unproven[paths[rows, lengths - 1]]).any():
            lengths[back] -= 1
    found: IntArray = np.where(lengths > 0, paths[rows, lengths - 1], np.int32(-1)).astype(np.int32)
    return found

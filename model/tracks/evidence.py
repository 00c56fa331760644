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
    """The evidence of one track.

    Args:
        tree: the trained one, whose nodes the logits are of.
    """

    def __init__(self, tree: WordTree) -> None:
        self._tree = tree
        self._sum: Doubles = np.zeros(len(tree))
        self._weight = 0.0
        self._witnesses = 0.0

    def add(self, logits: FloatArray, weight: float, seconds: float) -> None:
        """Take in a frame.

        Args:
            logits: float32 [T], of the track's box.
            weight: how much it counts, above 0: the box's objectness.
            seconds: since the last frame.
        """
        says = log_conditionals(self._tree, logits[None])[0]
        fade = 0.5 ** (seconds / MEMORY)
        if self._weight:
            known = leaf_probabilities(self._tree, self._sum / self._weight)
            moved = 0.5 * np.abs(leaf_probabilities(self._tree, says) - known).sum()
            self._witnesses = 1 + (self._witnesses - 1) * fade + min(1.0, moved / NEW)
        else:
            self._witnesses = 1.0
        self._sum = fade * self._sum + weight * says
        self._weight = fade * self._weight + weight

    def logits(self) -> FloatArray:
        """Return what all frames say, as logits [T] of the tree's nodes."""
        sharper = min(self._witnesses, MOST_WITNESSES) ** TRUST
        pooled: FloatArray = (sharper * self._sum / self._weight).astype(np.float32)
        return pooled


def log_conditionals(tree: WordTree, logits: FloatArray | Doubles) -> Doubles:
    """Return the logarithms of the conditional probabilities [K, T] of logits [K, T], none below `FLOOR`."""
    doubles = logits.astype(np.float64)
    doubles -= np.maximum.reduceat(doubles, tree.group_first, axis=1)[:, tree.group_of]
    doubles -= np.log(np.add.reduceat(np.exp(doubles), tree.group_first, axis=1))[:, tree.group_of]
    return np.maximum(doubles, FLOOR)


def leaf_probabilities(tree: WordTree, conditionals: FloatArray | Doubles) -> Doubles:
    """Return the absolute probabilities of the leaves, given logarithms [T] of conditional ones up to a factor."""
    normal = log_conditionals(tree, conditionals[None])[0]
    absolute = normal.copy()
    for depth in range(1, tree.levels):
        nodes = np.flatnonzero(tree.depths == depth)
        absolute[nodes] += absolute[tree.parents[nodes]]
    leaves: Doubles = np.exp(absolute[tree.child_count == 0])
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
        labels: [K], the label that each has; -1 for none.
        threshold, under, unproven: see `walk`.
    """
    answers = walk(tree, logits, threshold=threshold, under=under, unproven=unproven)
    surer = walk(tree, logits, threshold=min(1.0, threshold + STEP), under=under, unproven=unproven)
    nodes, lengths = answers.nodes.copy(), answers.lengths.copy()
    for row in np.flatnonzero((labels >= 0) & (nodes >= 0)).tolist():
        held, sure = int(labels[row]), int(surer.nodes[row])
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

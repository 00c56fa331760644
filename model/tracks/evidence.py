"""What the frames of a track say together of what it shows.

- Each frame says a conditional probability for every node of the tree. The track's are their weighted geometric mean,
  in every sibling group: late frames count more, and so do those that are sure that there is an object.
- Frames that differ are further evidence, and the mean becomes sharper with them, as independent witnesses who agree
  are believed more than one. A frame that says the same as those before says nothing new: an hour of a still picture
  leaves the label of the picture.
- The label is walked to as in a picture. It then holds on: it goes back only when its probability has fallen by
  `HOLD` below the threshold, or when the walk goes elsewhere.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.answers.walk import FloatArray, Walk, path_probability, walk
from model.wordtree import IntArray, WordTree

Doubles = NDArray[np.float64]

MEMORY: Final = 2.0
"""Seconds after which a frame counts half."""
NEW: Final = 0.2
"""Difference to what is known, in probability moved to other leaves, from which a frame is a witness of its own."""
TRUST: Final = 0.5
"""Power of the number of witnesses that the mean is sharpened by. 1: they are independent; 0: a mean stays a mean."""
MOST_WITNESSES: Final = 16.0
HOLD: Final = 0.1
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
    """Answer for tracks: walk, and hold on to the label that a track has while that is still likely.

    Args:
        tree: the trained one.
        logits: float32 [K, T], the tracks' evidence.
        labels: [K], the label that each has; -1 for none.
        threshold, under, unproven: see `walk`.
    """
    answers = walk(tree, logits, threshold=threshold, under=under, unproven=unproven)
    nodes, paths = answers.nodes.copy(), answers.paths.copy()
    probabilities, lengths = answers.probabilities.copy(), answers.lengths.copy()
    for row in np.flatnonzero((labels >= 0) & (nodes >= 0) & (labels != nodes)).tolist():
        held = int(labels[row])
        if not tree.is_within(held, int(nodes[row])):
            continue
        path = tree.path(held)
        along = path_probability(tree, logits[row : row + 1], path)[0]
        if along[-1] >= threshold - HOLD:
            nodes[row], lengths[row] = held, len(path)
            paths[row, : len(path)], probabilities[row, : len(path)] = path, along
    return Walk(nodes, paths, probabilities, lengths)

"""What a walk hesitated between when it stopped: the likeliest concepts below a node.

A walk that stops at *vehicle* has a reason: *car* has .41 and *truck* .38. Each child of the node that has an absolute
probability of `LEAST` starts a line of its own: from it to the likeliest child, while that has more than `KEPT` of the
first one's probability, and `LEAST`. The end of the line is the alternative. Three or more children that are all about
equally likely are none: of them nothing is known.
"""

from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from model.answers.walk import DoubleArray, FloatArray, conditional_probabilities, likeliest
from model.wordtree import IntArray, WordTree

MOST: Final = 3
"""Alternatives of one node."""

LEAST: Final = 0.1
"""Absolute probability of an alternative."""

KEPT: Final = 0.5
"""Share of a child's probability that the concepts farther down its line must have more than."""

EVEN: Final = 1.2
"""Of three or more children the likeliest must have so many times an even share."""


class Alternatives(NamedTuple):
    """The alternatives of M nodes, likeliest first.

    Attributes:
        nodes: int32 [M, MOST]; -1 where there are no more.
        probabilities: float32 [M, MOST], absolute; 0 where there are no more.
    """

    nodes: IntArray
    probabilities: FloatArray

    @classmethod
    def none(cls, *shape: int) -> Self:
        """Return arrays [*shape, MOST] with no alternative in them."""
        return cls(np.full((*shape, MOST), -1, np.int32), np.zeros((*shape, MOST), np.float32))


def alternatives(
    tree: WordTree,
    logits: FloatArray,
    rows: NDArray[np.intp],
    nodes: IntArray,
    probabilities: FloatArray,
    *,
    unproven: NDArray[np.bool_] | None = None,
) -> Alternatives:
    """Return the likeliest concepts below some nodes.

    Args:
        tree: the tree that the columns of the logits belong to.
        logits: float32 [K, N], a row for each box.
        rows: [M], the row of the logits that each node is of.
        nodes: int32 [M].
        probabilities: float32 [M], the nodes' absolute probabilities.
        unproven: [N]. No alternative is such a node; a line may pass through it. None: there are none.

    Raises:
        ValueError: a group that is looked at has logits that `walk` refuses.
    """
    found = Alternatives.none(len(nodes))
    nodes = _through_unproven(tree, nodes, unproven)
    inner = np.flatnonzero(tree.child_count[nodes])
    if not inner.size:
        return found
    # One entry a line: which of the M nodes it is of, where it starts, and how likely that is.
    first, size = tree.first_child[nodes[inner]], tree.child_count[nodes[inner]]
    origin = inner.repeat(size)
    child = (np.arange(size.sum()) + (first - size.cumsum() + size).repeat(size)).astype(np.int32)
    conditional = conditional_probabilities(logits, rows[inner], first, size)
    greatest = np.maximum.reduceat(conditional, size.cumsum() - size)
    told_apart = (size < 3) | (greatest * size >= EVEN)
    probability = probabilities[origin] * conditional
    likely_enough = told_apart.repeat(size) & (probability.astype(np.float32) >= np.float32(LEAST))
    origin, child, probability = origin[likely_enough], child[likely_enough], probability[likely_enough]
    ends, at_end = _follow(tree, logits, rows[origin], child, probability, unproven)

    stands = ends >= 0
    origin, ends, at_end = origin[stands], ends[stands], at_end[stands].astype(np.float32)
    order = np.lexsort((ends, -at_end, origin))  # by its last key first
    origin, ends, at_end = origin[order], ends[order], at_end[order]
    place = np.arange(len(origin)) - np.searchsorted(origin, origin)
    shown = place < MOST
    found.nodes[origin[shown], place[shown]] = ends[shown]
    found.probabilities[origin[shown], place[shown]] = at_end[shown]
    return found


def _follow(
    tree: WordTree,
    logits: FloatArray,
    rows: NDArray[np.intp],
    nodes: IntArray,
    probability: DoubleArray,
    unproven: NDArray[np.bool_] | None,
) -> tuple[IntArray, DoubleArray]:
    """Follow lines down from their first nodes; return the last proven node of each, or -1, and its probability."""
    enough = KEPT * probability
    ends, at_end = np.full(len(nodes), -1, np.int32), np.zeros(len(nodes))
    line = np.arange(len(nodes))
    while line.size:
        proven = np.ones(len(line), np.bool_) if unproven is None else ~unproven[nodes]
        ends[line[proven]], at_end[line[proven]] = nodes[proven], probability[proven]
        inner = np.flatnonzero(tree.child_count[nodes])
        line, nodes, probability = line[inner], nodes[inner], probability[inner]
        if line.size:
            nodes, conditional = likeliest(logits, rows[line], tree.first_child[nodes], tree.child_count[nodes])
            probability = probability * conditional
            goes_on = (probability > enough[line]) & (probability.astype(np.float32) >= np.float32(LEAST))
            line, nodes, probability = line[goes_on], nodes[goes_on], probability[goes_on]
    return ends, at_end


def _through_unproven(tree: WordTree, nodes: IntArray, unproven: NDArray[np.bool_] | None) -> IntArray:
    """Put in the place of a node with one child that is unproven this child, as its children share the node's."""
    if unproven is None:
        return nodes
    nodes = nodes.copy()
    while True:
        only = np.flatnonzero((tree.child_count[nodes] == 1) & unproven[tree.first_child[nodes]])
        if not only.size:
            return nodes
        nodes[only] = tree.first_child[nodes[only]]

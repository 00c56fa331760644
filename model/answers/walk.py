"""From class logits to an answer: a softmax over each sibling group, and a walk from the root down.

The absolute probability of a node is the product of the conditional ones from its root down to it, and the
conditional ones are a softmax over the node and its siblings (arXiv 1612.08242, section 4). The detector's
objectness, the probability that there is an object at all, is no part of this. A walk looks only at the
groups that it visits, at most 17 of 1,846, and takes one step of all boxes at once. Softmaxes run in
float64.

Every function refuses, with a ValueError, logits of another shape than [boxes, nodes of the tree], and
logits of which a group that it looks at holds NaN, plus infinity, or nothing but minus infinity. Minus
infinity beside a number is a probability of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.wordtree import IntArray, WordTree

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]

ROWS_AT_ONCE = 64
"""Boxes whose softmax over the whole tree is worked out together: 64 boxes take about 5 MB an array."""


@dataclass(frozen=True, eq=False)
class Walk:
    """The answers for K boxes; D is the tree's `levels`.

    Attributes:
        nodes: int32 [K], the label; -1 where no answer was likely enough, which happens only with `under`.
        paths: int32 [K, D], from the root to the label, then -1.
        probabilities: float32 [K, D], the absolute probabilities along the path, never increasing, then 0.
        lengths: int32 [K], how many nodes the path has.
    """

    nodes: IntArray
    paths: IntArray
    probabilities: FloatArray
    lengths: IntArray

    @property
    def label_probability(self) -> FloatArray:
        """The label's absolute probability, float32 [K]; 0 where there is no answer."""
        if not self.nodes.size:
            return np.empty(0, np.float32)
        # A box without an answer has length 0; index -1 then takes the last probability of its row, which is 0.
        return self.probabilities[np.arange(len(self.nodes)), self.lengths - 1]


def walk(
    tree: WordTree,
    logits: FloatArray,
    *,
    threshold: float = 0.5,
    under: Sequence[int] = (),
    unproven: npt.NDArray[np.bool_] | None = None,
) -> Walk:
    """Answer for each box with the most particular concept that is likely enough.

    The walk starts at the likeliest root, which always stands: something was found there, and this is the
    least that can be said of it. It goes on to the likeliest child (of equal ones, the first) while that
    child's absolute probability is at least `threshold`. Both are compared as float32, which is how the
    probability is given out: whoever has a path of threshold 0 can tell where a walk with another one ends.

    Args:
        tree: the tree that the columns of the logits belong to.
        logits: float32 [K, N], a row for each box.
        threshold: least absolute probability to go on, 0 to 1; 0 ends at a leaf.
        under: nodes. If there are any, the walk starts at the likeliest of them (of equal ones, the first
            in the tree), provided its absolute probability is at least `threshold`; else the box has no
            answer. A node within another of them adds nothing.
        unproven: [N]. The walk may pass through such a node but not end at one that it has not started at.
            `model.metadata` tells which they are. None: there are none.

    Raises:
        ValueError: the threshold is outside 0 to 1, or the logits are not as the module says.
        IndexError: `under` has a node that is not in the tree.
    """
    logits = _checked(tree, logits)
    if not 0 <= threshold <= 1:
        raise ValueError(f"The threshold is {threshold}; it must be 0 to 1.")
    if len(under):
        starts, paths, absolute = _start_under(tree, logits, under, threshold)
    else:
        starts, paths, absolute = _start_at_roots(tree, logits)
    min_lengths = np.where(starts >= 0, tree.depths[starts] + 1, 0).astype(np.int32)
    probabilities = absolute.astype(np.float32)

    # One entry a box that still walks: its row of logits, the node it has reached, where that node stands in the
    # flattened paths, and its absolute probability.
    row = np.flatnonzero(min_lengths)
    node = starts[row]
    flat_index = row * tree.levels + min_lengths[row] - 1
    probability = absolute.ravel()[flat_index]
    flat_paths, flat_probabilities = paths.ravel(), probabilities.ravel()
    while True:
        children = tree.child_count[node]
        if not children.all():
            inner = children.nonzero()
            row, node, flat_index = row[inner], node[inner], flat_index[inner]
            probability, children = probability[inner], children[inner]
        if not row.size:
            break
        child, conditional = likeliest(logits, row, tree.first_child[node], children)
        probability = probability * conditional
        passes = probability.astype(np.float32) >= np.float32(threshold)
        if not passes.all():
            row, child, flat_index, probability = row[passes], child[passes], flat_index[passes], probability[passes]
        node, flat_index = child, flat_index + 1
        flat_paths[flat_index] = node
        flat_probabilities[flat_index] = probability

    lengths = (paths >= 0).sum(axis=1, dtype=np.int32)
    nodes = np.where(lengths > 0, paths[np.arange(len(paths)), lengths - 1], np.int32(-1))
    if unproven is not None and unproven[nodes].any():
        _retreat(unproven, min_lengths, nodes, paths, probabilities, lengths)
    return Walk(nodes, paths, probabilities, lengths)


def _retreat(
    unproven: npt.NDArray[np.bool_],
    min_lengths: IntArray,
    nodes: IntArray,
    paths: IntArray,
    probabilities: FloatArray,
    lengths: IntArray,
) -> None:
    """Shorten paths in place until none longer than `min_lengths` [K] ends at an unproven node."""
    rows = np.flatnonzero(lengths > min_lengths)
    while rows.size:
        rows = rows[unproven[nodes[rows]] & (lengths[rows] > min_lengths[rows])]
        last = lengths[rows] - 1
        paths[rows, last] = -1
        probabilities[rows, last] = 0
        lengths[rows] = last
        nodes[rows] = paths[rows, last - 1]


def path_probability(tree: WordTree, logits: FloatArray, nodes: Sequence[int]) -> FloatArray:
    """Return the absolute probability of some nodes, float32 [K, number of nodes].

    Only the groups on their paths are looked at.

    Args:
        tree: the tree that the columns of the logits belong to.
        logits: float32 [K, N], a row for each box.
        nodes: M indices, in any order.

    Raises:
        ValueError: the logits are not as the module says.
        IndexError: a node is not in the tree.
    """
    logits = _checked(tree, logits)
    closed = tree.closure(nodes)
    absolute = _absolute(tree, logits, closed)
    return absolute[:, np.searchsorted(closed, np.asarray(nodes, np.int64))].astype(np.float32)


def absolute_probabilities(tree: WordTree, logits: FloatArray) -> FloatArray:
    """Return the absolute probability of every node, float32 [K, N]: for evaluation, not for serving.

    Raises:
        ValueError: the logits are not as the module says.
    """
    logits = _checked(tree, logits)
    every_node = np.arange(len(tree), dtype=np.int32)
    result = np.empty(logits.shape, np.float32)
    for first in range(0, len(logits), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        result[rows] = _absolute(tree, logits[rows], every_node)
    return result


def _checked(tree: WordTree, logits: FloatArray) -> FloatArray:
    logits = np.asarray(logits)
    if logits.ndim != 2 or logits.shape[1] != len(tree):
        raise ValueError(f"The logits have shape {logits.shape}; the tree needs [boxes, {len(tree)}].")
    return logits


def _start_at_roots(tree: WordTree, logits: FloatArray) -> tuple[IntArray, IntArray, DoubleArray]:
    """Return each box's likeliest root [K], the path to it [K, D] and the probabilities along it [K, D]."""
    count = len(logits)
    paths, absolute = np.full((count, tree.levels), -1, np.int32), np.zeros((count, tree.levels))
    if count:
        first, size = np.zeros(count, np.int32), np.full(count, len(tree.roots), np.int32)
        paths[:, 0], absolute[:, 0] = likeliest(logits, np.arange(count), first, size)
    return paths[:, 0], paths, absolute


def _start_under(
    tree: WordTree, logits: FloatArray, under: Sequence[int], threshold: float
) -> tuple[IntArray, IntArray, DoubleArray]:
    """Return what `_start_at_roots` does, from the likeliest node of `under`, or -1 if too unlikely."""
    closed = tree.closure(under)
    given = np.unique(np.asarray(under, np.int32))
    along = _absolute(tree, logits, closed)
    candidates = along[:, np.searchsorted(closed, given)]
    # A node within another is never likelier than that one, and comes after it: it is never chosen.
    best = candidates.argmax(axis=1)
    likely_enough = candidates[np.arange(len(logits)), best].astype(np.float32) >= np.float32(threshold)
    starts = np.where(likely_enough, given[best], -1).astype(np.int32)

    paths, absolute = np.full((len(logits), tree.levels), -1, np.int32), np.zeros((len(logits), tree.levels))
    for node in given.tolist():
        rows, path = np.flatnonzero(starts == node)[:, None], np.array(tree.path(node))
        paths[rows, np.arange(len(path))] = path
        absolute[rows, np.arange(len(path))] = along[rows, np.searchsorted(closed, path)]
    return starts, paths, absolute


def likeliest(
    logits: FloatArray, rows: npt.NDArray[np.intp], first: IntArray, size: IntArray
) -> tuple[IntArray, DoubleArray]:
    """Return the likeliest node of one sibling group in each of R rows, and its conditional probability.

    In row rows[i] the group has the columns first[i] to first[i] + size[i].
    """
    values, starts = _less_the_greatest(logits, rows, first, size)
    (hits,) = (values == 0).nonzero()
    best = hits[hits.searchsorted(starts)]
    # The likeliest node's own term is exp(0).
    return (first + (best - starts)).astype(np.int32), 1 / np.add.reduceat(np.exp(values, out=values), starts)


def conditional_probabilities(
    logits: FloatArray, rows: npt.NDArray[np.intp], first: IntArray, size: IntArray
) -> DoubleArray:
    """Return the conditional probability of every node of such groups, one group after another."""
    values, starts = _less_the_greatest(logits, rows, first, size)
    np.exp(values, out=values)
    return values / np.add.reduceat(values, starts).repeat(size)


def _less_the_greatest(
    logits: FloatArray, rows: npt.NDArray[np.intp], first: IntArray, size: IntArray
) -> tuple[DoubleArray, IntArray]:
    """Return the logits of one group in each row, less the group's greatest, and where each group starts.

    Groups differ in size, so their values are laid out one after another.
    """
    # Methods, not numpy's functions of the same names: for few boxes the calls cost more than the arithmetic.
    ends = size.cumsum()
    starts = ends - size
    before = (rows * logits.shape[1] + first - starts).repeat(size)
    values = logits.ravel().take(before + np.arange(ends[-1])).astype(np.float64)
    greatest = np.maximum.reduceat(values, starts)
    _refuse_unless_finite(greatest)
    values -= greatest.repeat(size)
    return values, starts


def _absolute(tree: WordTree, logits: FloatArray, closed: IntArray) -> DoubleArray:
    """Return the absolute probabilities, float64 [K, M], of M ascending nodes, their ancestors among them."""
    groups = np.unique(tree.group_of[closed])
    size = tree.group_size[groups]
    starts = np.cumsum(size) - size
    columns = np.arange(size.sum()) + np.repeat(tree.group_first[groups] - starts, size)
    values = logits[:, columns].astype(np.float64)
    if not values.size:
        return np.empty((len(logits), len(closed)))
    greatest = np.maximum.reduceat(values, starts, axis=1)
    _refuse_unless_finite(greatest)
    values -= np.repeat(greatest, size, axis=1)
    np.exp(values, out=values)
    values /= np.repeat(np.add.reduceat(values, starts, axis=1), size, axis=1)
    absolute = values[:, np.searchsorted(columns, closed)]
    for depth in range(1, tree.levels):
        below = np.flatnonzero(tree.depths[closed] == depth)
        absolute[:, below] *= absolute[:, np.searchsorted(closed, tree.parents[closed[below]])]
    return absolute


def _refuse_unless_finite(greatest: DoubleArray) -> None:
    if not np.isfinite(greatest).all():
        raise ValueError("The logits of a sibling group hold NaN or plus infinity, or nothing but minus infinity.")

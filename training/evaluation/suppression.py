"""Non-maximum suppression of many categories at once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Kept(NamedTuple):
    """What is left of K boxes scored for C categories: M entries, best first in each category.

    box: int64, which of the K boxes. category: int64, which of the C columns. score: float32.
    """

    box: NDArray[np.int64]
    category: NDArray[np.int64]
    score: NDArray[np.float32]


def suppress_by_category(
    overlapping: NDArray[np.bool_],
    scores: NDArray[np.float32],
    *,
    least_score: float,
    at_most: int,
) -> Kept:
    """Suppress, in each category by itself, the boxes that overlap a better one.

    All categories advance together, one kept box a step: a detector scores hundreds of boxes for hundreds of
    categories, and a loop over the pairs would take longer than the network.

    Args:
        overlapping: [K, K], whether the overlap of two boxes is too great for both to stay.
        scores: [K, C], the score of each box for each category; of equal ones the first box wins.
        least_score: only boxes with a greater score take part; not below 0.
        at_most: how many boxes to keep of a category.
    """
    active = np.flatnonzero((scores > least_score).any(axis=0))
    left = np.where(scores > least_score, scores, 0).T[active]
    kept: list[Kept] = []
    for _ in range(at_most):
        if not active.size:
            break
        best = left.argmax(axis=1)
        kept.append(Kept(best, active, left[np.arange(len(active)), best]))
        left[overlapping[best]] = 0
        left[np.arange(len(active)), best] = 0
        alive = left.any(axis=1)
        if not alive.all():
            active, left = active[alive], left[alive]
    if not kept:
        return Kept(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    box, category, score = (np.concatenate(column) for column in zip(*kept, strict=True))
    return Kept(box, category, score)

"""Which pictures of a set are kept out of training, so that an evaluation has some that no training saw."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")


def part_of(items: Sequence[Item], every: int, *, held_out: bool) -> list[Item]:
    """Return the last of every run of `every` items, or all the others.

    Args:
        items: in an order that does not change.
        every: length of a run; 0: nothing is held out.
        held_out: return what is held out instead of what is not.
    """
    return [item for number, item in enumerate(items, start=1) if held_out == bool(every and number % every == 0)]


def rows_of_part(counts: NDArray[np.int64], every: int, *, held_out: bool) -> NDArray[np.int64]:
    """Return the rows of which `part_of` keeps the items, of lists that follow each other.

    Args:
        counts: [L], how long each list is.
        every: length of a run, at least 1.
        held_out: see `part_of`.
    """
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.flatnonzero(((within + 1) % every == 0) == held_out)

"""The best matching in total, against all there are."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.tracks.assignment import assign


def best(similarity: np.ndarray[tuple[int, int], np.dtype[np.float64]], least: float) -> float:
    """Return the greatest total above `least` of any matching."""
    rows, columns = similarity.shape
    if rows > columns:
        return best(similarity.T, least)
    gain = np.maximum(similarity - least, 0)
    return max(
        (sum(gain[row, column] for row, column in enumerate(chosen)) for chosen in permutations(range(columns), rows)),
        default=0.0,
    )


@given(
    similarity=st.tuples(st.integers(0, 5), st.integers(0, 5)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1))
    ),
    least=st.floats(0, 0.9),
)
def test_no_matching_is_better(similarity: np.ndarray[tuple[int, int], np.dtype[np.float64]], least: float) -> None:
    rows, columns = assign(similarity, least)
    assert len(set(rows.tolist())) == len(rows) == len(set(columns.tolist()))
    assert (np.diff(rows) > 0).all()
    assert (similarity[rows, columns] >= least).all()
    assert (similarity[rows, columns] - least).sum() == pytest.approx(best(similarity, least))


def test_the_total_counts_and_not_the_best_pair() -> None:
    rows, columns = assign(np.array([[0.9, 0.8], [0.8, 0.0]]), 0.2)
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])


def test_a_hundred_are_matched_in_a_moment() -> None:
    similarity = np.random.default_rng(0).random((100, 120))
    rows, columns = assign(similarity, 0.2)
    assert len(rows) == 100
    assert similarity[rows, columns].mean() > 0.9

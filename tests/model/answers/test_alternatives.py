"""What a walk hesitated between, against the slow reference, and by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.answers.alternatives import MOST, alternatives
from model.answers.walk import FloatArray, absolute_probabilities
from model.wordtree import WordTree
from tests.model.answers import reference_walk
from tests.model.forests import forests

# 0 vehicle: 1 car (4 sedan, 5 wagon), 2 truck, 3 bus; 6 the only kind of truck, which has 7 and 8
PARENTS = [-1, 0, 0, 0, 1, 1, 2, 6, 6]


def tree_of(parents: Sequence[int]) -> WordTree:
    return WordTree([f"n{node}" for node in range(len(parents))], parents)


def ask(logits: Sequence[float], node: int = 0, unproven: Sequence[int] = ()) -> list[tuple[int, float]]:
    tree, row = tree_of(PARENTS), np.array([logits], np.float32)
    given = absolute_probabilities(tree, row)[:, node]
    mask = np.isin(np.arange(len(PARENTS)), unproven)
    found = alternatives(tree, row, np.zeros(1, np.intp), np.array([node], np.int32), given, unproven=mask)
    pairs = zip(found.nodes[0].tolist(), found.probabilities[0].tolist(), strict=True)
    return [(node, round(probability, 3)) for node, probability in pairs if node >= 0]


def of(chances: dict[int, float]) -> list[float]:
    """Return logits of conditional probabilities; siblings that are not named share what is left."""
    return [float(np.log(chances.get(node, 1e-9))) for node in range(len(PARENTS))]


def test_each_is_the_end_of_a_line_of_its_own() -> None:
    chances = {0: 1, 1: 0.45, 2: 0.4, 3: 0.15, 4: 0.8, 5: 0.2, 6: 1, 7: 0.5, 8: 0.5}
    # a sedan is more than half as likely as a car; of the truck's kinds neither is likelier than half of it
    assert ask(of(chances)) == [(6, 0.4), (4, 0.36), (3, 0.15)]
    assert ask(of(chances), unproven=[6]) == [(2, 0.4), (4, 0.36), (3, 0.15)]
    assert ask(of(chances), node=1) == [(4, 0.36)]
    assert ask(of(chances), node=3) == []


def test_less_than_a_tenth_is_none() -> None:
    assert ask(of({0: 1, 1: 0.48, 2: 0.43, 3: 0.09, 4: 0.5, 5: 0.5, 6: 1, 7: 1})) == [(1, 0.48), (7, 0.43)]


def test_of_children_that_are_all_as_likely_nothing_is_known() -> None:
    even = {0: 1, 1: 0.34, 2: 0.33, 3: 0.33, 4: 0.5, 5: 0.5, 6: 1, 7: 0.5, 8: 0.5}
    assert ask(of(even)) == []
    assert ask(of(even | {1: 0.41, 2: 0.3, 3: 0.29})) == [(1, 0.41), (6, 0.3), (3, 0.29)]
    assert ask(of(even), node=1) == [(4, 0.17), (5, 0.17)]  # two of them are a choice


def test_below_an_unproven_only_child_its_children_are_chosen_between() -> None:
    chances = of({0: 1, 1: 0.1, 2: 0.8, 3: 0.1, 4: 1, 6: 1, 7: 0.6, 8: 0.4})
    assert ask(chances, node=2) == [(7, 0.48)]  # one line, through the only child
    assert ask(chances, node=2, unproven=[6]) == [(7, 0.48), (8, 0.32)]


def close_call(absolute: Sequence[float]) -> bool:
    """Tell whether a rounding may decide."""
    known = sorted(absolute)
    return any(abs(one - 0.1) < 1e-6 for one in known) or any(
        0 < abs(one - other) < 1e-6 or abs(one - other / 2) < 1e-6 or abs(1.2 * other - one * 3) < 1e-6
        for one in known
        for other in known
        if min(one, other) > 0.01
    )


@pytest.mark.slow
@given(st.data())
def test_the_fast_ones_are_those_of_the_reference(data: st.DataObject) -> None:
    parents = data.draw(forests())
    logit = st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-4, 4, width=32))
    logits: FloatArray = data.draw(arrays(np.float32, (3, len(parents)), elements=logit))
    unproven = data.draw(st.sets(st.sampled_from(range(len(parents)))))
    tree = tree_of(parents)
    rows, nodes = np.indices(logits.shape).reshape(2, -1)
    found = alternatives(
        tree,
        logits,
        rows.astype(np.intp),
        nodes.astype(np.int32),
        absolute_probabilities(tree, logits).ravel(),
        unproven=np.isin(np.arange(len(parents)), list(unproven)),
    )
    assert found.nodes.shape == found.probabilities.shape == (logits.size, MOST)
    for at, (row, node) in enumerate(zip(rows.tolist(), nodes.tolist(), strict=True)):
        values = logits[row].tolist()
        if close_call(reference_walk.absolute_probabilities(parents, values)):
            continue
        expected = reference_walk.alternatives(parents, values, node, list(unproven))
        assert found.nodes[at].tolist() == [other for other, _ in expected] + [-1] * (MOST - len(expected))
        np.testing.assert_allclose(
            found.probabilities[at], [each for _, each in expected] + [0] * (MOST - len(expected)), rtol=1e-6
        )


def test_nothing_is_asked() -> None:
    nothing = np.empty(0, np.int32)
    rows, given = np.empty(0, np.intp), np.empty(0, np.float32)
    found = alternatives(tree_of(PARENTS), np.zeros((0, 9), np.float32), rows, nothing, given)
    assert found.nodes.shape == (0, MOST)


def test_broken_logits_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        ask([0, np.nan, 0, 0, 0, 0, 0, 0, 0])

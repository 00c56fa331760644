"""The fast tree softmax and walk against the slow ones, and what they promise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.answers.walk import FloatArray, Walk, absolute_probabilities, path_probability, walk
from model.tree_files import packaged_tree
from model.wordtree import WordTree
from tests.model.answers import reference_walk
from tests.model.forests import forests

HUGE = float(np.finfo(np.float32).max)
LOGIT = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0]),  # many ties
    st.floats(-9, 9, width=32),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
THRESHOLD = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))

# Two roots: 0 has the child 2, which has 3 and 4; 3 has 5 and 6. 1 has the child 7.
PARENTS = [-1, -1, 0, 2, 2, 3, 3, 1]


def tree_of(parents: Sequence[int]) -> WordTree:
    return WordTree([f"n{node}" for node in range(len(parents))], parents)


def logits_of(**chances: float) -> FloatArray:
    """One row of logits for PARENTS, from conditional probabilities n0=..., n1=..."""
    values = [chances.get(f"n{node}", 1e-9) for node in range(len(PARENTS))]
    return np.array([[math.log(value) for value in values]], np.float32)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[int], FloatArray]:
    parents = draw(forests())
    return parents, draw(arrays(np.float32, (draw(st.integers(0, 4)), len(parents)), elements=LOGIT))


def answers(result: Walk) -> list[tuple[list[int], list[float]]]:
    """The path of every box with its probabilities; asserts that all parts of the result say the same."""
    paths = []
    for row, length in enumerate(result.lengths.tolist()):
        path = result.paths[row, :length].tolist()
        assert result.nodes[row] == (path[-1] if length else -1)
        assert (result.paths[row, length:] == -1).all()
        assert (result.probabilities[row, length:] == 0).all()
        assert (np.diff(result.probabilities[row]) <= 0).all()
        assert result.label_probability[row] == (result.probabilities[row, length - 1] if length else 0)
        paths.append((path, result.probabilities[row, :length].tolist()))
    return paths


def is_close_call(absolute: Sequence[float], threshold: float, under: Sequence[int] = ()) -> bool:
    """Tell whether rounding alone may decide: a node next to the threshold, or two starts next to each other.

    Thresholds are compared as float32, of which half a step is 6e-8 at most, starts as float64. A probability equal
    to the threshold is no close call where both come from exact arithmetic (0, 1/2, 1).
    """
    at_threshold = any(0 < abs(probability - threshold) < 1e-7 for probability in absolute)
    likely = sorted(absolute[node] for node in set(under))
    return at_threshold or any(above - below < 1e-9 for below, above in pairwise(likely))


class TestAgainstTheReference:
    @given(cases(), THRESHOLD)
    @example((PARENTS, np.zeros((3, 8), np.float32)), 0.5)
    @example((PARENTS, np.zeros((1, 8), np.float32)), 0.0)
    @example((PARENTS, np.zeros((1, 8), np.float32)), 1.0)
    @example((PARENTS, np.array([[HUGE, -HUGE] * 4], np.float32)), 1.0)
    def test_walk(self, case: tuple[list[int], FloatArray], threshold: float) -> None:
        parents, logits = case
        result = walk(tree_of(parents), logits, threshold=threshold)
        for row, (path, probabilities) in zip(logits.tolist(), answers(result), strict=True):
            if is_close_call(reference_walk.absolute_probabilities(parents, row), threshold):
                continue
            expected_path, expected = reference_walk.walk(parents, row, threshold)
            assert path == expected_path
            np.testing.assert_allclose(probabilities, expected, rtol=1e-6, atol=1e-37)

    @given(cases(), THRESHOLD, st.data())
    def test_walk_under(self, case: tuple[list[int], FloatArray], threshold: float, data: st.DataObject) -> None:
        parents, logits = case
        nodes = st.sampled_from(range(len(parents)))
        under = data.draw(st.lists(nodes, min_size=1, max_size=5))
        result = walk(tree_of(parents), logits, threshold=threshold, under=under)
        for row, (path, probabilities) in zip(logits.tolist(), answers(result), strict=True):
            absolute = reference_walk.absolute_probabilities(parents, row)
            if is_close_call(absolute, threshold, under):
                continue
            expected_path, expected = reference_walk.walk(parents, row, threshold, under)
            assert path == expected_path
            np.testing.assert_allclose(probabilities, expected, rtol=1e-6, atol=1e-37)

    @given(cases(), THRESHOLD, st.data())
    def test_walk_with_unproven_nodes(
        self, case: tuple[list[int], FloatArray], threshold: float, data: st.DataObject
    ) -> None:
        parents, logits = case
        nodes = st.sampled_from(range(len(parents)))
        under, unproven = data.draw(st.lists(nodes, max_size=3)), data.draw(st.sets(nodes))
        mask = np.isin(np.arange(len(parents)), list(unproven))
        result = walk(tree_of(parents), logits, threshold=threshold, under=under, unproven=mask)
        for row, (path, probabilities) in zip(logits.tolist(), answers(result), strict=True):
            if is_close_call(reference_walk.absolute_probabilities(parents, row), threshold, under):
                continue
            expected_path, expected = reference_walk.walk(parents, row, threshold, under, list(unproven))
            assert path == expected_path
            np.testing.assert_allclose(probabilities, expected, rtol=1e-6, atol=1e-37)

    @given(cases(), st.data())
    def test_probabilities(self, case: tuple[list[int], FloatArray], data: st.DataObject) -> None:
        parents, logits = case
        tree = tree_of(parents)
        expected = np.array([reference_walk.absolute_probabilities(parents, row) for row in logits.tolist()])
        expected = expected.reshape(logits.shape)
        full = absolute_probabilities(tree, logits)
        assert full.dtype == np.float32
        np.testing.assert_allclose(full, expected, rtol=1e-6, atol=1e-37)
        nodes = data.draw(st.lists(st.sampled_from(range(len(parents)))))
        some = path_probability(tree, logits, nodes)
        assert some.dtype == np.float32
        np.testing.assert_allclose(some, expected[:, nodes], rtol=1e-6, atol=1e-37)


@given(cases(), THRESHOLD)
def test_the_lazy_walk_is_the_walk_on_the_full_softmax(case: tuple[list[int], FloatArray], threshold: float) -> None:
    parents, logits = case
    tree = tree_of(parents)
    result = walk(tree, logits, threshold=threshold)
    full = absolute_probabilities(tree, logits)
    for row, (path, probabilities) in enumerate(answers(result)):
        if is_close_call(reference_walk.absolute_probabilities(parents, logits[row].tolist()), threshold):
            continue
        np.testing.assert_allclose(probabilities, full[row, path], rtol=1e-6)
        last = tree.children(path[-1])
        assert not last or full[row, list(last)].max() <= np.float32(threshold)


@pytest.fixture(scope="module")
def logits() -> FloatArray:
    """Twenty boxes, each sure of one leaf, and each a little less than the one before."""
    tree, chance = packaged_tree(), np.random.default_rng(7)
    logits = chance.normal(size=(20, len(tree))).astype(np.float32)
    for row, leaf in enumerate(chance.choice(tree.leaves, 20)):
        logits[row, list(tree.path(leaf))] += 10 - 0.4 * row
    return logits


class TestThePackagedTree:
    @pytest.mark.parametrize("threshold", [0, 0.1, 0.5, 0.9])
    def test_walk(self, logits: FloatArray, threshold: float) -> None:
        tree = packaged_tree()
        result = walk(tree, logits, threshold=threshold)
        assert result.paths.shape == result.probabilities.shape == (20, 17)
        full = absolute_probabilities(tree, logits)
        parents = tree.parents.tolist()
        children: dict[int, list[int]] = {}
        for node, parent in enumerate(parents):
            children.setdefault(parent, []).append(node)
        for row, (path, probabilities) in enumerate(answers(result)):
            expected = [max(children[-1], key=lambda node: full[row, node])]
            while below := children.get(expected[-1]):
                likeliest = max(below, key=lambda node: full[row, node])
                if full[row, likeliest] < threshold:
                    break
                expected.append(likeliest)
            assert path == expected
            np.testing.assert_allclose(probabilities, full[row, path], rtol=1e-6)
        assert len(set(result.lengths.tolist())) > 3  # the boxes stop at many depths

    def test_full_softmax_of_one_box(self, logits: FloatArray) -> None:
        tree = packaged_tree()
        full = absolute_probabilities(tree, logits[:1])[0].astype(np.float64)
        np.testing.assert_allclose(full[list(tree.roots)].sum(), 1, rtol=1e-6)
        for node in np.flatnonzero(tree.child_count).tolist():
            np.testing.assert_allclose(full[list(tree.children(node))].sum(), full[node], rtol=1e-5)

    def test_rows_do_not_depend_on_their_company(self, logits: FloatArray) -> None:
        tree = packaged_tree()
        many = np.concatenate([logits] * 7)  # more rows than the full softmax takes at once
        full, result = absolute_probabilities(tree, many), walk(tree, many)
        alone, alone_walk = absolute_probabilities(tree, logits[4:5]), walk(tree, logits[4:5])
        assert (full[4::20] == alone).all()
        assert (result.paths[4::20] == alone_walk.paths).all()
        assert (result.probabilities[4::20] == alone_walk.probabilities).all()


class TestThreshold:
    def test_compares_with_the_absolute_probability(self) -> None:
        # Conditional probabilities of .9: after six steps the product is still above .5, and .53.
        parents = [-1, -1] + [step for step in range(0, 18, 2) for _ in range(2)]
        logits = np.log(np.array([[0.9, 0.1] * 10])).astype(np.float32)
        result = walk(tree_of(parents), logits, threshold=0.5)
        assert result.lengths.tolist() == [6]
        np.testing.assert_allclose(result.label_probability, [0.9**6], rtol=1e-6)

    def test_equality_goes_on(self) -> None:
        result = walk(tree_of([-1, 0, 0]), np.zeros((1, 3), np.float32), threshold=0.5)
        assert result.paths.tolist() == [[0, 1]]

    def test_what_is_compared_is_what_is_given_out(self) -> None:
        """A third is more as a float32 than as a float64; asked for at exactly the probability given out, it stands."""
        tree, logits = tree_of([-1, 0, 0, 0, 1, 2]), np.zeros((1, 6), np.float32)
        given_out = float(walk(tree, logits, threshold=0).probabilities[0, 1])
        assert given_out > 1 / 3
        assert walk(tree, logits, threshold=given_out).paths.tolist() == [[0, 1, 4]]
        assert walk(tree, logits, threshold=given_out, under=[1]).paths.tolist() == [[0, 1, 4]]
        assert walk(tree, logits, threshold=float(np.nextafter(np.float32(given_out), 1))).paths[0, 1] == -1

    def test_a_root_always_stands(self) -> None:
        result = walk(tree_of([-1, -1, 0, 0]), np.zeros((1, 4), np.float32), threshold=1)
        assert result.paths.tolist() == [[0, -1]]
        assert result.probabilities.tolist() == [[0.5, 0]]

    def test_zero_ends_at_a_leaf_even_if_it_is_impossible(self) -> None:
        logits = np.array([[0, -np.inf, -800, -900]], np.float32)
        result = walk(tree_of([-1, -1, 0, 0]), logits, threshold=0)
        assert result.paths.tolist() == [[0, 2]]
        under = walk(tree_of([-1, -1, 1, 1]), logits, threshold=0, under=[1])
        assert under.paths.tolist() == [[1, 2]]
        assert under.probabilities.tolist() == [[0, 0]]

    def test_groups_of_one_are_certain(self) -> None:
        result = walk(tree_of([-1, 0, 1]), np.array([[-HUGE, HUGE, -3]], np.float32), threshold=1)
        assert result.probabilities.tolist() == [[1, 1, 1]]

    @pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
    def test_outside_0_to_1_is_refused(self, threshold: float) -> None:
        with pytest.raises(ValueError, match="threshold"):
            walk(tree_of(PARENTS), np.zeros((1, 8), np.float32), threshold=threshold)


class TestUnder:
    LIKELY_3 = logits_of(n0=0.9, n1=0.1, n2=1, n3=0.8, n4=0.2, n5=0.6, n6=0.4, n7=1)

    def answer(self, threshold: float, *under: int) -> list[int]:
        result = walk(tree_of(PARENTS), self.LIKELY_3, threshold=threshold, under=under)
        return answers(result)[0][0]

    def test_starts_there_and_goes_on(self) -> None:
        assert self.answer(0.5) == [0, 2, 3]
        assert self.answer(0.5, 3) == [0, 2, 3]
        assert self.answer(0.4, 3) == [0, 2, 3, 5]
        assert self.answer(0.1, 4) == [0, 2, 4]
        assert self.answer(0.05, 1) == [1, 7]

    def test_no_answer(self) -> None:
        result = walk(tree_of(PARENTS), self.LIKELY_3, threshold=0.5, under=[4])
        assert result.nodes.tolist() == [-1]
        assert result.lengths.tolist() == [0]
        assert result.label_probability.tolist() == [0]

    def test_roots_must_reach_the_threshold_too(self) -> None:
        assert self.answer(0.95, 0, 1) == []
        assert self.answer(0.95) == [0]

    def test_likeliest_of_several(self) -> None:
        assert self.answer(0.1, 4, 1, 3) == [0, 2, 3, 5]
        assert self.answer(0.1, 4, 1) == [0, 2, 4]

    def test_a_node_within_another_adds_nothing(self) -> None:
        assert self.answer(0.1, 6, 2, 6) == self.answer(0.1, 2) == [0, 2, 3, 5]

    def test_of_equal_ones_the_first_in_the_tree(self) -> None:
        result = walk(tree_of([-1, 0, 0, 0]), np.zeros((1, 4), np.float32), threshold=0.1, under=[3, 2])
        assert result.nodes.tolist() == [2]

    def test_each_box_has_its_own_start(self) -> None:
        logits = np.concatenate([self.LIKELY_3, logits_of(n0=0.1, n1=0.9, n2=1, n3=0.5, n4=0.5), self.LIKELY_3])
        result = walk(tree_of(PARENTS), logits, threshold=0.5, under=[1, 3])
        assert [path for path, _ in answers(result)] == [[0, 2, 3], [1, 7], [0, 2, 3]]

    def test_takes_an_array(self) -> None:
        under: Any = np.array([1, 3])
        assert walk(tree_of(PARENTS), self.LIKELY_3, under=under).nodes.tolist() == [3]

    @pytest.mark.parametrize("node", [-1, 8])
    def test_outside_the_tree(self, node: int) -> None:
        with pytest.raises(IndexError, match=f"Node {node} is not in a tree of 8 nodes"):
            self.answer(0.5, node)
        with pytest.raises(IndexError, match=f"Node {node} is not in a tree of 8 nodes"):
            path_probability(tree_of(PARENTS), self.LIKELY_3, [node])


class TestLogits:
    def test_ties_go_to_the_first(self) -> None:
        result = walk(tree_of([-1, -1, 0, 0, 1, 1]), np.zeros((1, 6), np.float32), threshold=0)
        assert result.paths.tolist() == [[0, 2]]

    def test_no_boxes(self) -> None:
        nothing = np.empty((0, 8), np.float32)
        for under in ([], [3]):
            result = walk(tree_of(PARENTS), nothing, under=under)
            assert result.paths.shape == result.probabilities.shape == (0, 4)
            assert result.label_probability.shape == result.nodes.shape == (0,)
        assert absolute_probabilities(tree_of(PARENTS), nothing).shape == (0, 8)
        assert path_probability(tree_of(PARENTS), nothing, [3]).shape == (0, 1)
        assert path_probability(tree_of(PARENTS), np.zeros((2, 8), np.float32), []).shape == (2, 0)

    def test_need_not_be_contiguous(self) -> None:
        logits = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
        result = walk(tree_of(PARENTS), logits.T, threshold=0.2)
        expected = walk(tree_of(PARENTS), np.ascontiguousarray(logits.T), threshold=0.2)
        assert (result.paths == expected.paths).all()

    def test_are_left_as_they_are(self) -> None:
        logits = np.ones((1, 8), np.float32)
        walk(tree_of(PARENTS), logits, under=[3])
        absolute_probabilities(tree_of(PARENTS), logits)
        assert (logits == 1).all()

    @pytest.mark.parametrize("shape", [(8,), (1, 7), (1, 9), (1, 1, 8)])
    def test_of_another_shape_are_refused(self, shape: tuple[int, ...]) -> None:
        logits = np.zeros(shape, np.float32)
        for call in (walk, absolute_probabilities):
            with pytest.raises(ValueError, match=r"the tree needs \[boxes, 8\]"):
                call(tree_of(PARENTS), logits)

    @pytest.mark.parametrize("bad", [[np.nan, 0], [0, np.inf], [-np.inf, -np.inf]])
    def test_that_are_no_distribution_are_refused(self, bad: list[float]) -> None:
        logits = np.zeros((2, 8), np.float32)
        logits[1, :2] = bad
        for call in (walk, absolute_probabilities):
            with pytest.raises(ValueError, match="sibling group hold NaN or plus infinity"):
                call(tree_of(PARENTS), logits)

    def test_minus_infinity_is_impossible(self) -> None:
        logits = np.zeros((1, 8), np.float32)
        logits[0, 0] = -np.inf
        assert absolute_probabilities(tree_of(PARENTS), logits).tolist() == [[0, 1, 0, 0, 0, 0, 0, 1]]
        assert walk(tree_of(PARENTS), logits).nodes.tolist() == [7]

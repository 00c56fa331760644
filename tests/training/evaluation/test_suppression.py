"""Suppression of all categories at once, against a loop over the boxes of each."""

import numpy as np
import pytest
from numpy.typing import NDArray

from model.geometry import box_iou
from training.evaluation.suppression import suppress_by_category


def one_by_one(
    overlapping: NDArray[np.bool_], scores: NDArray[np.float32], least_score: float, at_most: int
) -> set[tuple[int, int]]:
    kept = set()
    for category in range(scores.shape[1]):
        chosen: list[int] = []
        for box in np.argsort(-scores[:, category], kind="stable").tolist():
            wanted = scores[box, category] > least_score and len(chosen) < at_most
            if wanted and not any(overlapping[box, other] for other in chosen):
                chosen.append(box)
        kept |= {(box, category) for box in chosen}
    return kept


@pytest.mark.parametrize("seed", range(20))
def test_it_keeps_what_a_plain_loop_keeps(seed: int) -> None:
    random = np.random.default_rng(seed)
    corners = random.integers(0, 20, (30, 2))
    boxes = np.hstack([corners, corners + random.integers(0, 15, (30, 2))]).astype(np.float32)
    overlapping = box_iou(boxes, boxes) > 0.3
    # Few different scores, so that many are equal; and categories with no box at all.
    scores = (random.integers(0, 9, (30, 12)) * random.integers(0, 2, 12) / 10).astype(np.float32)
    kept = suppress_by_category(overlapping, scores, least_score=0.15, at_most=6)
    pairs = list(zip(kept.box.tolist(), kept.category.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == one_by_one(overlapping, scores, 0.15, 6)
    np.testing.assert_array_equal(kept.score, scores[kept.box, kept.category])
    for category in range(12):
        assert (np.diff(kept.score[kept.category == category]) <= 0).all()


def test_categories_do_not_suppress_each_other() -> None:
    kept = suppress_by_category(
        np.ones((2, 2), bool), np.array([[0.9, 0.1], [0.8, 0.2]], np.float32), least_score=0, at_most=100
    )
    assert list(zip(kept.box, kept.category, strict=True)) == [(0, 0), (1, 1)]


def test_scores_are_left_as_they_were() -> None:
    scores = np.ones((3, 2), np.float32)
    suppress_by_category(np.ones((3, 3), bool), scores, least_score=0, at_most=9)
    assert (scores == 1).all()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 2)])
def test_nothing_to_keep(shape: tuple[int, int]) -> None:
    kept = suppress_by_category(np.eye(shape[0], dtype=bool), np.zeros(shape, np.float32), least_score=0, at_most=9)
    assert [len(column) for column in kept] == [0, 0, 0]
    assert kept.score.dtype == np.float32

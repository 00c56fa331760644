"""Average precision and recall of cases worked out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from training.evaluation.average_precision import Answers, Truths, average_precision, recall

Row = tuple[int, int, tuple[float, float, float, float], float]
"""Picture, category, box, and whether it is a crowd's or, of an answer, the score."""

A = (0, 0, 10, 10)
B = (50, 50, 70, 70)
C = (100, 0, 130, 30)


def columns(rows: Sequence[Row]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    picture, category = (np.array([row[column] for row in rows], np.int64) for column in (0, 1))
    return picture, category, np.array([row[2] for row in rows], np.float64).reshape(-1, 4)


def truths(*rows: Row) -> Truths:
    return Truths(*columns(rows), np.array([row[3] for row in rows], bool))


def answers(*rows: Row) -> Answers:
    return Answers(*columns(rows), np.array([row[3] for row in rows], np.float64))


def test_perfect_answers_score_1() -> None:
    known = truths((0, 3, A, 0), (0, 3, B, 0), (1, 9, A, 0))
    found = answers((0, 3, A, 0.4), (0, 3, B, 0.2), (1, 9, A, 0.01))
    assert average_precision(known, found) == {3: pytest.approx((1, 1)), 9: pytest.approx((1, 1))}
    assert recall(known, found) == 1


def test_a_false_alarm_between_two_hits() -> None:
    # By score: hit, false, hit. Up to recall .5 the best precision is 1, beyond it 2/3: 51 and 50 points.
    known = truths((0, 3, A, 0), (0, 3, B, 0))
    found = answers((0, 3, A, 0.9), (0, 3, C, 0.8), (0, 3, B, 0.7))
    expected = (51 + 50 * 2 / 3) / 101
    assert average_precision(known, found) == {3: pytest.approx((expected, expected))}
    assert recall(known, found) == 1


def test_a_false_alarm_in_a_picture_without_truth_counts() -> None:
    known = truths((0, 3, A, 0))
    found = answers((0, 3, A, 0.5), (1, 3, A, 0.9))
    assert average_precision(known, found) == {3: pytest.approx((0.5, 0.5))}


def test_the_mean_goes_over_ten_overlaps() -> None:
    # IOU .62: a hit at .50, .55 and .60.
    found = answers((0, 3, (0, 0, 10, 6.2), 0.5))
    assert average_precision(truths((0, 3, A, 0)), found) == {3: pytest.approx((1, 0.3))}


def test_a_second_answer_to_one_truth_is_a_false_alarm() -> None:
    known = truths((0, 3, A, 0), (0, 3, B, 0))
    found = answers((0, 3, A, 0.9), (0, 3, A, 0.8), (0, 3, B, 0.7))
    assert average_precision(known, found)[3].at_50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert recall(truths((0, 3, A, 0), (0, 3, (0, 0, 10, 9), 0)), answers((0, 3, A, 0.9))) == 0.5


def test_the_wrong_category_scores_0_but_is_recalled() -> None:
    known, found = truths((0, 3, A, 0)), answers((0, 4, A, 0.9))
    assert average_precision(known, found) == {3: (0, 0)}
    assert recall(known, found) == 1


def test_no_answer_scores_0() -> None:
    assert average_precision(truths((0, 3, A, 0)), answers()) == {3: (0, 0)}
    assert recall(truths((0, 3, A, 0)), answers()) == 0


def test_a_crowd_counts_neither_for_nor_against() -> None:
    known = truths((0, 3, A, 0), (0, 3, (40, 40, 90, 90), 1), (0, 5, C, 1))
    found = answers((0, 3, B, 0.9), (0, 3, (42, 42, 50, 50), 0.8), (0, 3, A, 0.7))
    assert average_precision(known, found) == {3: pytest.approx((1, 1))}
    assert recall(known, found) == 1


def test_no_truth_but_crowds() -> None:
    for known in (truths(), truths((0, 3, A, 1))):
        assert average_precision(known, answers((0, 3, A, 0.5))) == {}
        assert recall(known, answers((0, 3, A, 0.5))) is None


def test_the_hundred_best_boxes_count() -> None:
    many = [(0, 3, (200 + 20 * number, 0, 210 + 20 * number, 10), 0.9) for number in range(100)]
    known = truths((0, 3, A, 0))
    assert average_precision(known, answers(*many, (0, 3, A, 0.5))) == {3: (0, 0)}
    assert average_precision(known, answers(*many[1:], (0, 3, A, 0.5))) == {3: pytest.approx((0.01, 0.01))}


def test_it_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    average_precision(truths((0, 3, A, 0)), answers((0, 3, A, 0.5)))
    assert capsys.readouterr() == ("", "")

"""VOC's and ImageNet's rules: by hand, and against a slow reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation.average_precision import Answers, Truths
from training.evaluation.challenges import Hits, best_threshold, pair

BOX, NEAR, FAR = (0, 0, 100, 100), (0, 0, 100, 80), (200, 200, 300, 300)


def truths(*boxes: tuple[float, ...], category: int = 1, picture: int = 0, crowd: tuple[int, ...] = ()) -> Truths:
    count = len(boxes)
    return Truths(
        np.full(count, picture),
        np.full(count, category),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.isin(np.arange(count), crowd),
    )


def answers(*found: tuple[tuple[float, ...], float], category: int = 1, picture: int = 0) -> Answers:
    count = len(found)
    boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
    return Answers(np.full(count, picture), np.full(count, category), boxes, np.array([score for _, score in found]))


def test_a_second_answer_on_one_box_is_a_false_alarm() -> None:
    hits = pair(truths(BOX), answers((NEAR, 0.5), (BOX, 0.9)))[1]
    assert hits.hit.tolist() == [True, False]
    assert hits.score.tolist() == [0.9, 0.5]


def test_an_answer_looks_only_at_the_box_it_overlaps_most_by_voc_and_at_the_next_by_imagenet() -> None:
    two = truths((0, 0, 100, 100), (0, 10, 100, 110))
    found = answers(((0, 0, 100, 100), 0.9), ((0, 1, 100, 101), 0.8))  # both overlap the first box most
    assert pair(two, found)[1].hit.tolist() == [True, False]
    assert pair(two, found, imagenet=True)[1].hit.tolist() == [True, True]


def test_what_is_difficult_or_a_crowd_counts_neither_way() -> None:
    for known, ignored in (
        (truths(BOX, FAR), np.array([False, True])),
        (truths(BOX, FAR, crowd=(1,)), None),
    ):
        hits = pair(known, answers((FAR, 0.9), (FAR, 0.8), (BOX, 0.7)), ignored=ignored)[1]
        assert (hits.hit.tolist(), hits.truths) == ([True], 1)
    assert pair(truths(BOX), answers((BOX, 1.0)), ignored=np.array([True])) == {}


def test_small_boxes_ask_for_less_by_imagenet() -> None:
    small, found = truths((0, 0, 10, 10)), answers(((0, 0, 10, 3), 0.9))  # 1/4 is asked for, .3 is given
    assert pair(small, found, imagenet=True)[1].hit.tolist() == [True]
    assert pair(small, found)[1].hit.tolist() == [False]


def test_other_pictures_and_categories_do_not_pair() -> None:
    for other in (answers((BOX, 0.9), picture=1), answers((BOX, 0.9), category=2)):
        found = pair(truths(BOX), other)
        assert not found[1].hit.any()
        assert found.keys() == {1}


def test_both_averages_by_hand() -> None:
    hits = Hits(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]), truths=4)
    # Precision 1 up to recall 1/4, then 2/3 up to 1/2.
    assert hits.area() == pytest.approx((1 + 2 / 3) / 4)
    assert hits.eleven_points() == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)
    nothing = Hits(np.empty(0), np.empty(0, bool), truths=3)
    assert (nothing.area(), nothing.eleven_points()) == (0, 0)
    thirds = Hits(np.arange(10)[::-1] / 10, np.ones(10, bool), truths=10)
    assert thirds.eleven_points() == pytest.approx(1)


_SIDES = st.tuples(*[st.integers(0, 6)] * 4).map(lambda s: (s[0], s[1], s[0] + s[2] + 1, s[1] + s[3] + 1))


@settings(deadline=None)
@given(
    st.lists(st.tuples(_SIDES, st.integers(0, 1), st.booleans()), min_size=1, max_size=6),
    st.lists(st.tuples(_SIDES, st.integers(0, 1)), max_size=8),
    st.booleans(),
)
def test_pairs_are_those_of_a_slow_reference(
    labelled: list[tuple[tuple[int, ...], int, bool]], found: list[tuple[tuple[int, ...], int]], imagenet: bool
) -> None:
    known = Truths(
        np.array([picture for _, picture, _ in labelled]),
        np.ones(len(labelled), int),
        np.array([box for box, _, _ in labelled], np.float32),
        np.array([crowd for _, _, crowd in labelled]),
    )
    scores = np.linspace(1, 0.1, len(found))
    given_answers = Answers(
        np.array([picture for _, picture in found], int),
        np.ones(len(found), int),
        np.array([box for box, _ in found], np.float32).reshape(-1, 4),
        scores,
    )
    result = pair(known, given_answers, imagenet=imagenet)
    if known.crowd.all():
        assert result == {}
        return
    assert result[1].hit.tolist() == slow_hits(labelled, found, imagenet=imagenet)


def slow_hits(
    labelled: list[tuple[tuple[int, ...], int, bool]], found: list[tuple[tuple[int, ...], int]], *, imagenet: bool
) -> list[bool]:
    """Pair as the rules are told; return the answers that count."""
    taken: set[int] = set()
    outcome = []
    for box, picture in found:
        best, best_iou = None, -1.0
        for number, (other, where, crowd) in enumerate(labelled):
            if where != picture or (imagenet and number in taken and not crowd):
                continue
            width, height = other[2] - other[0], other[3] - other[1]
            least = min(0.5, width * height / ((width + 10) * (height + 10))) if imagenet else 0.5
            overlap = iou(box, other)
            if overlap >= least and overlap > best_iou:
                best, best_iou = number, overlap
        if best is None:
            outcome.append(False)
        elif not labelled[best][2]:
            outcome.append(best not in taken)
            taken.add(best)
    return outcome


def iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(np.float32(shared) / np.float32(sum(areas) - shared))


def test_the_best_threshold() -> None:
    known = truths(BOX, FAR)
    best = best_threshold(known, answers((BOX, 0.9), (FAR, 0.6), ((500, 0, 510, 10), 0.5), category=7))
    assert best is not None
    assert tuple(best) == pytest.approx((0.6, 1, 1, 1))
    tied = best_threshold(known, answers((BOX, 0.5), (FAR, 0.5), ((500, 0, 510, 10), 0.5)))
    assert tied is not None
    assert (tied.threshold, tied.recall) == (0.5, 1)
    assert tied.precision == pytest.approx(2 / 3)
    assert best_threshold(known, answers()) is None
    assert best_threshold(truths(), answers((BOX, 0.9))) is None

"""Rows that tell a few pictures from a memory."""

import numpy as np
import pytest

from training.teaching.rows import DECAY, Examples, fewer, fit_rows


def examples(views: int = 1, pictures: int = 10) -> Examples:
    """Return two concepts, at (3, 0) and (0, 3), and a memory around (0, 0)."""
    random = np.random.default_rng(0)
    memory = random.normal(0, 0.5, (300, 2))
    one, other = (random.normal(place, 0.3, (pictures, 2)).repeat(views, axis=0) for place in ((3, 0), (0, 3)))
    components = np.concatenate([memory, one, other]).astype(np.float32)
    classes = np.repeat([0, 1, 2], [300, pictures * views, pictures * views])
    numbers = np.concatenate([np.full(300, -1), np.arange(2 * pictures).repeat(views)])
    return Examples.of(components, np.zeros((len(components), 3), np.float32), classes, numbers)


def test_concepts_are_told_from_each_other_and_from_the_rest() -> None:
    rows = fit_rows(examples(), 2)
    asked = np.array([[3, 0], [0, 3], [0, 0], [-3, -3]], np.float32)
    found = rows.probabilities(asked, np.zeros((4, 3), np.float32))
    assert found.argmax(axis=1).tolist() == [1, 2, 0, 0]
    assert (found.max(axis=1) > 0.8).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_how_many_views_a_picture_has_does_not_matter() -> None:
    asked = np.random.default_rng(1).normal(0, 2, (20, 2)).astype(np.float32)
    nothing = np.zeros((20, 3), np.float32)
    once, thrice = (fit_rows(examples(views), 2).probabilities(asked, nothing) for views in (1, 3))
    np.testing.assert_allclose(once, thrice, atol=0.02)


def test_all_views_of_pictures_can_be_left_out() -> None:
    every = examples(views=3)
    without = every.without(np.array([3, 11]))
    assert len(without.classes) == len(every.classes) - 6
    assert not {3, 11} & set(without.pictures.tolist())


def test_fewer_examples_give_much_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    every = examples()
    rows = fit_rows(every, 2)
    assert fewer(every, rows) is every
    for name in ("HARDEST", "OTHERS"):
        monkeypatch.setattr(f"training.teaching.rows.{name}", 50)
    some = fewer(every, rows)
    assert 100 <= (some.classes == 0).sum() <= 110
    np.testing.assert_allclose(some.weights[some.classes == 0].sum(), 300, rtol=1e-5)
    asked = np.random.default_rng(1).normal(0, 2, (50, 2)).astype(np.float32)
    nothing = np.zeros((50, 3), np.float32)
    again = fit_rows(some, 2)
    np.testing.assert_allclose(again.probabilities(asked, nothing), rows.probabilities(asked, nothing), atol=0.05)


def test_what_the_classifier_is_sure_of_is_no_new_concept() -> None:
    given = examples()
    sure = np.zeros_like(given.sureness)
    sure[given.classes == 0, 0] = 2
    sure[given.classes > 0, 0] = -2
    rows = fit_rows(given._replace(sureness=sure), 2)
    between = np.array([[1.2, 0]], np.float32)
    known, unknown = (rows.probabilities(between, np.array([[one, 0, 0]], np.float32))[0, 0] for one in (2, -2))
    assert known > unknown + 0.1


def test_a_concept_counts_as_much_however_many_pictures_it_has() -> None:
    few, many = (fit_rows(examples(pictures=count), 2) for count in (5, 40))
    middle = np.array([[1.5, 0]], np.float32)
    nothing = np.zeros((1, 3), np.float32)
    np.testing.assert_allclose(few.probabilities(middle, nothing), many.probabilities(middle, nothing), atol=0.15)


def test_all_concepts_together_count_as_much_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty concepts with the same pictures are together as likely as one of these pictures."""
    given = examples()
    memory, own = (np.flatnonzero(given.classes == concept) for concept in (0, 1))
    one = Examples(*(column[np.concatenate([memory, own])] for column in given))
    many = Examples(*(column[np.concatenate([memory, np.tile(own, 20)])] for column in given))
    many = many._replace(classes=np.concatenate([np.zeros(len(memory), np.int64), np.arange(1, 21).repeat(len(own))]))
    asked = np.array([[1.2, 0], [1.5, 0], [1.8, 0]], np.float32)
    nothing = np.zeros((3, 3), np.float32)
    monkeypatch.setattr("training.teaching.rows.DECAY", DECAY / 20)  # twenty rows have it twenty times
    none_of_many = fit_rows(many, 20).probabilities(asked, nothing)[:, 0]
    monkeypatch.setattr("training.teaching.rows.DECAY", DECAY)
    none_of_one = fit_rows(one, 1).probabilities(asked, nothing)[:, 0]
    np.testing.assert_allclose(none_of_many, none_of_one, atol=0.01)

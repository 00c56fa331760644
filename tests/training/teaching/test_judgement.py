"""What is made of pictures that were left out."""

import pytest

from training.teaching.judgement import LeftOut, one_thing, taken_for


def left(concept: int, rival: int = -1, label: int = 5, *, named: bool = True) -> LeftOut:
    return LeftOut(concept, 0, 0.5, rival, label, named)


def test_what_pictures_are_taken_for_is_counted() -> None:
    found = [left(0), left(0, label=7, named=False), left(0, label=8, named=False), left(0, label=7, named=False)]
    assert taken_for(found) == [(7, 2), (8, 1)]


@pytest.mark.parametrize(("swapped", "same"), [(0, False), (2, False), (3, True), (5, True)])
def test_two_concepts_whose_pictures_are_each_others_are_one_thing(swapped: int, same: bool) -> None:
    found = [left(number, 1 - number if place < swapped else -1) for number in (0, 1) for place in range(7)]
    assert one_thing(found) == ((0, 1) if same else None)


def test_a_third_concept_does_not_count() -> None:
    found = [left(number, 2) for number in (0, 1) for _ in range(5)] + [left(2) for _ in range(5)]
    assert one_thing(found) is None
    assert one_thing([]) is None

import random
from typing import get_args

from app.label.archive.sorting import Entry, SortedEntries
from model.archives.kinds import Kind


def entries(count: int) -> list[Entry]:
    kinds = get_args(Kind)
    made = [Entry(f"{number:05}\udcff\n.jpg", kinds[number % 3], number, "x") for number in range(count)]
    random.Random(0).shuffle(made)
    return made


def test_more_than_fit_into_memory_are_sorted_as_often_as_asked() -> None:
    made = entries(103)
    in_order = SortedEntries(iter(made), run=10)
    assert list(in_order) == list(in_order) == sorted(made)
    assert (in_order.pictures, in_order.containers) == (35, 68)


def test_few_stay_in_memory() -> None:
    made = entries(10)
    assert list(SortedEntries(made, run=10)) == list(SortedEntries(made, run=11)) == sorted(made)
    assert list(SortedEntries([])) == []

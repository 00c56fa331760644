import pytest

from app.engine.fair_queue import FairQueue


def filled(*lanes: tuple[str, str]) -> FairQueue[str]:
    """Make a queue of letters, each lane given with its items in order."""
    queue: FairQueue[str] = FairQueue()
    for lane, items in lanes:
        for item in items:
            queue.push(lane, item)
    return queue


def test_lanes_take_turns() -> None:
    queue = filled(("batch", "abcd"), ("single", "x"), ("other", "y"))
    assert [queue.pop() for _ in range(6)] == ["a", "x", "y", "b", "c", "d"]
    assert not queue


def test_a_new_lane_has_the_last_turn() -> None:
    queue = filled(("one", "ab"), ("two", "cd"))
    assert queue.pop() == "a"
    queue.push("three", "e")
    assert [queue.pop() for _ in range(4)] == ["c", "b", "e", "d"]


def test_peek_does_not_take() -> None:
    queue = filled(("one", "ab"))
    assert queue.peek() == "a"
    assert len(queue) == 2


def test_an_empty_queue_has_nothing_to_take() -> None:
    queue: FairQueue[str] = FairQueue()
    for take in (queue.peek, queue.pop):
        with pytest.raises(IndexError, match="empty"):
            take()
    assert queue.pop_alike(3, str.isupper) == []


def test_what_is_alike_is_taken_turn_by_turn() -> None:
    queue = filled(("one", "ABC"), ("two", "xy"), ("three", "DE"))
    assert queue.count(str.isupper) == 5
    assert queue.pop_alike(4, str.isupper) == ["A", "D", "B", "E"]
    assert queue.pop_alike(9, str.isupper) == ["C"]
    assert queue.pop_alike(1, str.islower) == ["x"]
    assert len(queue) == 1


def test_what_is_dropped_is_not_taken() -> None:
    queue = filled(("one", "ab"), ("two", "c"))
    queue.discard("one", "a")
    queue.discard("two", "c")
    queue.discard("two", "c")
    queue.discard("none", "z")
    assert len(queue) == 1
    assert queue.pop() == "b"

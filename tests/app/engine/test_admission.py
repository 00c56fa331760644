import pytest

from app.contract.errors import QueueFullError
from app.engine import admission
from app.engine.admission import Admission, Pace


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(admission, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_places_are_limited_and_given_back() -> None:
    counter = Admission(2, 100)
    with counter.places(1), counter.places(1):
        with pytest.raises(QueueFullError):
            counter.check()
        with pytest.raises(QueueFullError), counter.places(1):
            pass
    assert counter.pictures == 0
    counter.check()


def test_one_free_place_is_enough_for_a_batch() -> None:
    counter = Admission(2, 100)
    with counter.places(1), counter.places(16):
        assert counter.pictures == 17
        with pytest.raises(QueueFullError):
            counter.check()


def test_the_bytes_of_all_requests_are_limited_together() -> None:
    counter = Admission(2, 100)
    with counter.admit() as one, counter.admit() as two:
        one.count_bytes(60)
        with pytest.raises(QueueFullError):
            two.count_bytes(41)
        two.count_bytes(40)
        assert counter.bytes == 100
    assert counter.bytes == 0


def test_the_time_to_wait_is_that_of_the_pictures_held(clock: Clock) -> None:
    counter = Admission(3, 100)
    for seconds in (1.0, 3.0):
        with counter.places(1):
            clock.now += seconds
    clock.now += 1000  # idle: that says nothing of how long a picture takes
    with counter.places(3):
        assert counter.retry_after == 6.0
        with pytest.raises(QueueFullError) as caught:
            counter.check()
    assert caught.value.headers == {"Retry-After": "6"}


def test_before_the_first_answer_the_time_is_a_second() -> None:
    counter = Admission(1, 100)
    with counter.places(1), pytest.raises(QueueFullError) as caught:
        counter.check()
    assert caught.value.headers == {"Retry-After": "1"}


def test_what_failed_says_nothing_of_the_pace(clock: Clock) -> None:
    counter = Admission(3, 100)

    def fail() -> None:
        with counter.places(1):
            clock.now += 5
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        fail()
    with counter.places(1):
        assert counter.retry_after == 0


def test_the_pace_of_pictures_that_overlap_is_that_of_their_ends(clock: Clock) -> None:
    pace = Pace()
    pace.begin()
    for _ in range(4):  # each took 4 s, but one ended each second
        clock.now += 1
        pace.end(1)
    assert pace.seconds == 1
    clock.now += 4
    pace.end(4)
    assert pace.seconds == 1

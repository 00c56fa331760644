from pathlib import Path

import pytest

from app.access.rate_limit import RateLimit
from app.access.shared_buckets import SharedBuckets


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_passes_and_then_the_rate(clock: Clock) -> None:
    limit = RateLimit(2.0, 3, clock)
    assert [limit.take("a") for _ in range(3)] == [0, 0, 0]
    assert limit.take("a") == pytest.approx(0.5)
    clock.now += 0.25
    assert limit.take("a") == pytest.approx(0.25)
    clock.now += 0.25
    assert limit.take("a") == 0
    assert limit.take("a") > 0


def test_silence_fills_the_bucket_but_no_further(clock: Clock) -> None:
    limit = RateLimit(1.0, 2, clock)
    clock.now += 3600
    assert [limit.take("a") > 0 for _ in range(3)] == [False, False, True]


def test_in_the_long_run_the_rate_holds(clock: Clock) -> None:
    limit = RateLimit(5.0, 2, clock)
    passed = 0
    for _ in range(1000):
        clock.now += 0.01
        passed += limit.take("a") == 0
    assert passed == pytest.approx(5.0 * 10, abs=3)


def test_names_have_buckets_of_their_own(clock: Clock) -> None:
    limit = RateLimit(1.0, 1, clock)
    assert limit.take("a") == 0
    assert limit.take("b") == 0
    assert limit.take("a") == pytest.approx(1.0)


def test_processes_share_what_a_name_has_left(clock: Clock, tmp_path: Path) -> None:
    one, other = (RateLimit(2.0, 3, clock, SharedBuckets(tmp_path / "buckets", ("a", "b"))) for _ in range(2))
    assert [limit.take("a") for limit in (one, other, one)] == [0, 0, 0]
    assert other.take("a") == one.take("a") == pytest.approx(0.5)
    assert other.take("b") == 0
    clock.now += 0.5
    assert other.take("a") == 0
    assert one.take("a") > 0

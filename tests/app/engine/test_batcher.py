"""Which pictures share a run of a network, and what happens when one fails."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engine.batcher import Batcher
from model.answers.detections import RawDetections
from model.runtime import DeviceLostError

pytestmark = pytest.mark.anyio


class FakeDetector:
    """Tells of its runs; each picture has one box, whose objectness is its first pixel over 255."""

    def __init__(self, *, on_gpu: bool = False) -> None:
        self.on_gpu = on_gpu
        self.metadata = SimpleNamespace(thresholds=SimpleNamespace(objectness=0.25), default_size=32)
        self.runs: list[tuple[int, int, float]] = []
        self.go = threading.Event()
        self.go.set()
        self.fail: Callable[[NDArray[np.uint8]], Exception | None] = lambda _: None

    def run(self, pixels: NDArray[np.uint8], threshold: float) -> list[RawDetections]:
        self.runs.append((pixels.shape[0], pixels.shape[1], threshold))
        assert self.go.wait(30)
        if error := self.fail(pixels):
            raise error
        return [
            RawDetections(
                np.zeros((1, 4), np.float32),
                np.array([picture[0, 0, 0] / 255], np.float32),
                np.zeros((1, 3), np.float32),
            )
            for picture in pixels
        ]


def square(value: int = 255, size: int = 32) -> NDArray[np.uint8]:
    return np.full((1, size, size, 3), value, np.uint8)


@pytest.fixture
async def batcher() -> AsyncIterator[Batcher]:
    batcher = Batcher(8, 0.0)
    yield batcher
    await batcher.close()


def ask(batcher: Batcher, lane: str, detector: Any, value: int = 255, size: int = 32, threshold: float = 0.25) -> Any:
    return asyncio.create_task(batcher.submit(lane, detector, square(value, size), threshold))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def held_up(batcher: Batcher, detector: FakeDetector) -> Any:
    """Start a run that does not end before `detector.go` is set."""
    detector.go.clear()
    first = ask(batcher, "first", detector)
    await settled()
    return first


async def test_a_lone_request_runs_at_once_though_batches_may_wait() -> None:
    batcher = Batcher(8, 1000.0)
    detector = FakeDetector()
    await asyncio.wait_for(batcher.submit("a", detector, square(), 0.25), 30)  # type: ignore[arg-type]
    assert detector.runs == [(1, 32, 0.25)]
    await batcher.close()


async def test_a_batch_waits_for_a_picture_that_is_being_decoded() -> None:
    batcher = Batcher(8, 1000.0)
    detector = FakeDetector()
    with batcher.coming():
        first = ask(batcher, "a", detector)
        await settled()
        assert detector.runs == []
    await batcher.submit("b", detector, square(), 0.25)  # type: ignore[arg-type]
    await first
    assert detector.runs == [(2, 32, 0.25)]
    await batcher.close()


async def test_but_not_for_longer_than_it_may() -> None:
    batcher = Batcher(8, 0.02)
    detector = FakeDetector()
    with batcher.coming():
        await asyncio.wait_for(ask(batcher, "a", detector), 30)
    assert detector.runs == [(1, 32, 0.25)]
    await batcher.close()


async def test_nor_for_one_whose_decoding_failed() -> None:
    batcher = Batcher(8, 1000.0)
    detector = FakeDetector()

    async def fail_while_one_waits() -> None:
        with batcher.coming():
            waiting.append(ask(batcher, "a", detector))
            await settled()
            raise ValueError("damaged")

    waiting: list[Any] = []
    with pytest.raises(ValueError, match="damaged"):
        await fail_while_one_waits()
    await asyncio.wait_for(waiting[0], 30)
    await batcher.close()


async def test_what_gathers_during_a_run_shares_the_next() -> None:
    told: list[int] = []
    batcher = Batcher(8, 0.0, told.append)
    detector = FakeDetector()
    tasks = [await held_up(batcher, detector)]
    tasks += [ask(batcher, f"r{number}", detector) for number in range(11)]
    await settled()
    assert batcher.waiting == 11
    detector.go.set()
    await asyncio.gather(*tasks)
    assert batcher.waiting == 0
    assert [batch for batch, _, _ in detector.runs] == [1, 8, 2, 1]  # sizes that were warmed, never another
    assert told == [1, 8, 2, 1]
    await batcher.close()


@pytest.mark.parametrize(("on_gpu", "largest", "most"), [(False, None, 2), (False, 8, 1), (True, 1, 1)])
async def test_on_a_cpu_two_runs_of_single_pictures_are_under_way(on_gpu: bool, largest: int | None, most: int) -> None:
    batcher, detector = Batcher(largest, 0.0), FakeDetector(on_gpu=on_gpu)
    detector.go.clear()
    asked = [ask(batcher, str(number), detector) for number in range(5)]
    await asyncio.sleep(0.1)
    begun, waiting = len(detector.runs), batcher.waiting
    detector.go.set()
    found = await asyncio.gather(*asked)
    await batcher.close()

    assert (begun, len(found)) == (most, 5)
    assert waiting == 5 - sum(run[0] for run in detector.runs[:most])


async def test_only_one_model_and_one_size_share_a_run(batcher: Batcher) -> None:
    detector, other = FakeDetector(), FakeDetector()
    tasks = [await held_up(batcher, detector)]
    tasks += [ask(batcher, "a", detector), ask(batcher, "b", other), ask(batcher, "c", detector, size=64)]
    tasks += [ask(batcher, "d", detector), ask(batcher, "e", other), ask(batcher, "f", detector, size=64)]
    await settled()
    detector.go.set()
    await asyncio.gather(*tasks)
    assert [run[:2] for run in detector.runs] == [(1, 32), (2, 32), (2, 64)]
    assert [run[:2] for run in other.runs] == [(2, 32)]


async def test_each_gets_the_boxes_of_its_own_threshold(batcher: Batcher) -> None:
    detector = FakeDetector()
    tasks = [await held_up(batcher, detector)]
    tasks += [ask(batcher, "a", detector, 128, threshold=0.4), ask(batcher, "b", detector, 128, threshold=0.6)]
    await settled()
    detector.go.set()
    _, low, high = await asyncio.gather(*tasks)
    assert detector.runs[1] == (2, 32, 0.4)
    assert (len(low[0]), len(high[0])) == (1, 0)


async def test_one_that_wants_far_more_boxes_does_not_make_others_pay(batcher: Batcher) -> None:
    detector = FakeDetector()
    tasks = [await held_up(batcher, detector)]
    tasks += [ask(batcher, "a", detector, threshold=0.0), ask(batcher, "b", detector), ask(batcher, "c", detector)]
    await settled()
    detector.go.set()
    await asyncio.gather(*tasks)
    assert detector.runs[1:] == [(1, 32, 0.0), (2, 32, 0.25)]


async def test_a_picture_that_fails_a_batch_fails_alone(batcher: Batcher) -> None:
    detector = FakeDetector()
    detector.fail = lambda pixels: RuntimeError("13") if (pixels == 13).any() else None
    tasks = [await held_up(batcher, detector)]
    tasks += [ask(batcher, "a", detector), ask(batcher, "b", detector, 13), ask(batcher, "c", detector, 100)]
    tasks += [ask(batcher, "d", detector)]
    await settled()
    detector.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [tuple, tuple, RuntimeError, tuple, tuple]
    assert not batcher.lost


async def test_a_lost_device_is_noticed_and_not_tried_picture_by_picture(batcher: Batcher) -> None:
    detector = FakeDetector()
    tasks = [await held_up(batcher, detector)]
    tasks += [ask(batcher, "a", detector), ask(batcher, "b", detector)]
    await settled()
    detector.fail = lambda _: DeviceLostError("CUDA failure 700")
    detector.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {DeviceLostError}
    assert [batch for batch, _, _ in detector.runs] == [1, 2]
    assert batcher.lost


async def test_it_remembers_whether_the_last_run_of_a_model_failed(batcher: Batcher) -> None:
    detector = FakeDetector()
    detector.fail = lambda _: RuntimeError("no")
    with pytest.raises(RuntimeError):
        await ask(batcher, "a", detector)
    assert batcher.failed(detector)  # type: ignore[arg-type]
    detector.fail = lambda _: None
    await ask(batcher, "a", detector)
    assert not batcher.failed(detector)  # type: ignore[arg-type]


async def test_what_is_given_up_while_it_waits_never_runs(batcher: Batcher) -> None:
    detector = FakeDetector()
    first = await held_up(batcher, detector)
    waiting = ask(batcher, "a", detector)
    await settled()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    detector.go.set()
    await first
    await settled()
    assert len(detector.runs) == 1


async def test_the_largest_batch_suits_the_device_unless_it_is_set() -> None:
    for largest, on_gpu, sizes in ((None, False, (1,)), (None, True, (1, 2, 4, 8, 16)), (5, True, (1, 2, 4))):
        batcher = Batcher(largest, 0)
        assert batcher.batch_sizes(FakeDetector(on_gpu=on_gpu)) == sizes  # type: ignore[arg-type]
        await batcher.close()


@pytest.mark.parametrize(("least", "together"), [(1000.0, 3), (0.0, 1)])
async def test_single_runs_of_a_quick_network_overlap_and_those_of_a_slow_one_do_not(
    monkeypatch: pytest.MonkeyPatch, least: float, together: int
) -> None:
    monkeypatch.setattr("app.engine.batcher.LONG_RUN", least)
    batcher, detector = Batcher(1, 0.0, runs=3, long_runs=1), FakeDetector()
    await batcher.warm_up(detector, square(size=64))  # type: ignore[arg-type]
    await batcher.warm_up(detector, square())  # type: ignore[arg-type]
    await batcher.choose_runs_at_once(detector, square())  # type: ignore[arg-type]
    assert [size for _, size, _ in detector.runs] == [64, 32, 32]
    detector.runs.clear()
    detector.go.clear()
    asked = [ask(batcher, lane, detector) for lane in "abcd"]
    await settled()
    assert batcher.runs_at_once(detector) == together  # type: ignore[arg-type]
    assert batcher._running == together
    assert batcher.waiting == 4 - together
    detector.go.set()
    await asyncio.wait_for(asyncio.gather(*asked), 30)
    await batcher.close()

"""Metrics of several processes as those of one."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app.observe import siblings as module
from app.observe.metrics import Metrics, ModelInfo
from app.observe.siblings import Siblings

pytestmark = pytest.mark.anyio


class Process:
    """What one of them has: its metrics, and its place among the others."""

    def __init__(self, folder: Path, number: int) -> None:
        self.metrics = Metrics("1.0", ["queue-full"])
        self.siblings = Siblings(folder, number)
        self.metrics.follow(
            queue_length=lambda: number,
            in_flight=lambda: 10 * number,
            models=lambda: [ModelInfo("default", "a", "1", "sha256:ab", "CPUExecutionProvider")],
        )

    async def told(self) -> CollectorRegistry:
        return await self.siblings.metrics(self.metrics.registry)


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[list[Process]]:
    processes = [Process(tmp_path, number) for number in range(3)]
    for process in processes:
        await process.siblings.open(process.metrics.registry)
    yield processes
    for process in processes:
        await process.siblings.close()
    assert not list(tmp_path.iterdir())


async def test_whoever_is_asked_tells_of_all(processes: list[Process]) -> None:
    for process in processes[:2]:
        process.metrics.request("/detect", "POST", 200, 0.02)
        process.metrics.problem("queue-full")
    processes[2].metrics.request("/detect", "POST", 503, 0.02)
    for process in processes:
        told = await process.told()
        request = {"route": "/detect", "method": "POST"}
        count = "yolo9000_request_duration_seconds_count"
        assert told.get_sample_value(count, {**request, "status": "200"}) == 2
        assert told.get_sample_value(count, {**request, "status": "503"}) == 1
        bucket = {**request, "status": "200", "le": "0.025"}
        assert told.get_sample_value("yolo9000_request_duration_seconds_bucket", bucket) == 2
        assert told.get_sample_value("yolo9000_problems_total", {"type": "queue-full"}) == 2
        assert told.get_sample_value("yolo9000_queue_length") == 0 + 1 + 2
        assert told.get_sample_value("yolo9000_pictures_in_flight") == 0 + 10 + 20


async def test_what_is_of_all_is_told_once(processes: list[Process]) -> None:
    told = await processes[0].told()
    alone = processes[0].metrics.registry
    assert told.get_sample_value("yolo9000_build_info", {"version": "1.0"}) == 1
    (model,) = [metric for metric in told.collect() if metric.name == "yolo9000_model_info"]
    assert [sample.value for sample in model.samples] == [1]
    for name in ("process_start_time_seconds",):
        assert told.get_sample_value(name) == alone.get_sample_value(name)
    resident = "process_resident_memory_bytes"
    one, all_of_them = alone.get_sample_value(resident), told.get_sample_value(resident)
    assert one is not None
    assert all_of_them == pytest.approx(3 * one, rel=0.2)
    assert {metric.name for metric in told.collect()} == {metric.name for metric in alone.collect()}


async def test_one_that_has_ended_or_does_not_answer_holds_nobody_up(
    processes: list[Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    silent, gone = tmp_path / "7.socket", tmp_path / "8.socket"
    with socket.socket(socket.AF_UNIX) as taken, socket.socket(socket.AF_UNIX) as ended:
        taken.bind(str(silent))
        taken.listen()
        ended.bind(str(gone))
        told = await asyncio.wait_for(processes[0].told(), 5)
    assert told.get_sample_value("yolo9000_queue_length") == 0 + 1 + 2
    for path in (silent, gone):
        path.unlink()


async def test_a_process_takes_the_place_of_one_that_was_killed(processes: list[Process], tmp_path: Path) -> None:
    anew = Process(tmp_path, 1)
    await anew.siblings.open(anew.metrics.registry)
    anew.metrics.problem("queue-full")
    told = await processes[0].told()
    assert told.get_sample_value("yolo9000_problems_total", {"type": "queue-full"}) == 1
    await anew.siblings.close()

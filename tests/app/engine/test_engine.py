"""What happens when the service is busy, a client leaves, time runs out, or the network fails."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from starlette.requests import Request

from app.engine.engine import Engine
from app.main import create_app
from app.settings import Settings
from model.answers.detections import RawDetections
from model.runtime import DeviceLostError, OnnxDetector
from tests.app import pictures
from tests.app.conftest import client_of, engine_of, problem

pytestmark = pytest.mark.anyio

PNG = {"content-type": "image/png"}


@pytest.fixture
async def app(detector: OnnxDetector) -> AsyncIterator[FastAPI]:
    app = create_app(Settings(max_waiting=2, deadline=20), detector)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@contextmanager
def busy(engine: Engine) -> Iterator[threading.Event]:
    """Keep the network's threads busy until the event is set; meanwhile one more run begins, and waits for them."""
    free, network = threading.Event(), engine._batcher
    for _ in range(engine.plan.runs):
        network._threads.submit(free.wait, 60)
    network._running += engine.plan.runs - 1
    try:
        yield free
    finally:
        network._running -= engine.plan.runs - 1
        free.set()


async def post(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/detect", content=pictures.red(), headers=PNG)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def until_held(engine: Engine, count: int) -> None:
    await until(lambda: engine.admission.pictures == count)


async def until_started(engine: Engine) -> None:
    """Wait for the run that begins while `busy`: a picture sent later may be decoded sooner."""
    await until(lambda: engine._batcher._running >= engine.plan.runs)


async def test_while_the_network_is_busy(app: FastAPI, client: httpx.AsyncClient) -> None:
    engine = engine_of(app)
    with busy(engine) as free:
        waiting = [asyncio.create_task(post(client)) for _ in range(2)]
        await until_held(engine, 2)
        refused = await post(client)
        problem(refused, 429)
        assert int(refused.headers["retry-after"]) >= 1
        batch = await client.post("/detect/batch", files={"image": ("a.png", pictures.red())})
        problem(batch, 429)
        # The event loop is free: nothing of a detection runs on it.
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200
        await asyncio.sleep(0.1)
        free.set()
        answers = await asyncio.gather(*waiting)
    assert [answer.status_code for answer in answers] == [200, 200]
    for answer in answers:
        assert answer.json()["timing_ms"]["queue"] >= 90
    assert engine.admission.pictures == 0
    assert (await post(client)).status_code == 200


async def test_when_full_a_body_is_not_read(app: FastAPI, client: httpx.AsyncClient) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b"x"

    with engine_of(app).admission.places(2):
        problem(await client.post("/detect", content=body(), headers=PNG), 429)
    assert read == 0


async def test_a_place_is_needed_when_the_body_has_arrived_too(app: FastAPI, client: httpx.AsyncClient) -> None:
    engine = engine_of(app)
    arrived = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield pictures.red()
        await arrived.wait()

    request = asyncio.create_task(client.post("/detect", content=body(), headers=PNG))
    await until(lambda: engine.admission.bytes > 0)
    assert engine.admission.pictures == 0  # whoever sends slowly holds no place
    with engine.admission.places(2):
        arrived.set()
        problem(await request, 429)
    assert engine.admission.bytes == 0


async def test_a_failed_request_gives_its_place_back(app: FastAPI, client: httpx.AsyncClient) -> None:
    for _ in range(5):
        problem(await client.post("/detect", content=b"text", headers=PNG), 415)
    engine = engine_of(app)
    assert (engine.admission.pictures, engine.admission.bytes, engine.open_requests) == (0, 0, 0)


async def test_a_client_that_goes_away_frees_its_place_and_its_picture_never_runs(
    app: FastAPI, detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(app)
    ran = counted_runs(detector, monkeypatch)
    gone = asyncio.Event()
    sent: list[dict[str, Any]] = []
    with busy(engine) as free:
        first = asyncio.create_task(app(scope(), receiver(pictures.red(), asyncio.Event()), sender([])))
        await until_started(engine)
        request = asyncio.create_task(app(scope(), receiver(pictures.red(), gone), sender(sent)))
        await until(lambda: len(engine._batcher._queue) > 0)
        gone.set()
        await asyncio.wait_for(request, 30)
        assert engine.admission.pictures == 1
        assert not engine._batcher._queue
        free.set()
        await first
    assert len(ran) == 1


async def test_work_that_fails_while_the_client_waits_tells_why(app: FastAPI) -> None:
    """The error comes as it was raised: no group of errors around it, and its cause kept for the log."""
    failed, cause = ValueError("the work failed"), KeyError("why")
    failed.__cause__ = cause

    async def work() -> None:
        async with engine_of(app).hold_places(Request(scope(), receiver(b"", asyncio.Event())), 1):
            raise failed

    with pytest.raises(ValueError, match="the work failed") as caught:
        await work()
    assert caught.value is failed
    assert failed.__cause__ is cause
    assert engine_of(app).admission.pictures == 0


async def test_at_the_deadline_queued_work_is_dropped(detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(Settings(deadline=0.2), detector)
    async with app.router.lifespan_context(app), client_of(app) as client:
        engine = engine_of(app)
        ran = counted_runs(detector, monkeypatch)
        with busy(engine):
            # The first is handed to the thread, the second waits in the queue.
            answers = await asyncio.gather(post(client), post(client))
            for answer in answers:
                assert "0.2 s" in problem(answer, 504)["detail"]
            assert engine.admission.pictures == 0
            assert not engine._batcher._queue
        await asyncio.sleep(0.05)
        assert len(ran) == 1
        assert (await post(client)).status_code == 200


async def test_a_batch_takes_turns_with_single_pictures(
    app: FastAPI, client: httpx.AsyncClient, detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.state.engine.admission._max_pictures = 20
    engine = engine_of(app)
    finished: list[str] = []

    async def noted(name: str, request: Any) -> None:
        assert (await request).status_code == 200
        finished.append(name)

    ran = counted_runs(detector, monkeypatch)
    with busy(engine) as free:
        form = [("image", (f"{number}.png", pictures.red())) for number in range(8)]
        batch = asyncio.create_task(noted("batch", client.post("/detect/batch", files=form)))
        await until(lambda: len(engine._batcher._queue) >= 7)
        single = asyncio.create_task(noted("single", post(client)))
        await until(lambda: len(engine._batcher._queue) >= 8)
        free.set()
        await asyncio.gather(batch, single)
    assert finished == ["single", "batch"]
    assert len(ran) == 9


async def test_a_clock_that_jumps_changes_nothing(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the clock that never jumps counts: neither the deadline nor the times of the steps follow the other."""
    years = itertools.cycle((0.0, 3e8, -3e8))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(years))
    monkeypatch.setattr(time, "time_ns", lambda: int((real() + next(years)) * 1e9))
    for _ in range(5):
        response = await post(client)
        assert response.status_code == 200
        assert all(0 <= spent < 20_000 for spent in response.json()["timing_ms"].values())


async def test_a_failing_network_is_a_500_and_not_ready_until_it_runs_again(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret: the device is gone")

    with monkeypatch.context() as patch:
        patch.setattr(OnnxDetector, "run", fail)
        assert "secret" not in problem(await post(client), 500)["detail"]
        problem(await client.get("/health/ready"), 503)
        assert (await client.get("/health/live")).status_code == 200
    assert (await client.get("/health/ready")).status_code == 200
    assert (await post(client)).status_code == 200


async def test_a_lost_gpu_makes_the_process_unhealthy_for_good(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DeviceLostError("CUDA failure 700: an illegal memory access was encountered")

    assert (await client.get("/health/live")).status_code == 200
    with monkeypatch.context() as patch:
        patch.setattr(OnnxDetector, "run", fail)
        problem(await post(client), 500)
    assert "restart it" in problem(await client.get("/health/live"), 503)["detail"]
    problem(await client.get("/health/ready"), 503)


@pytest.mark.parametrize(("batch_size", "batches"), [(None, (1,)), (4, (4, 2, 1)), (6, (4, 2, 1))])
async def test_a_model_is_warm_before_the_first_request(
    detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch, batch_size: int | None, batches: tuple[int, ...]
) -> None:
    shapes = counted_runs(detector, monkeypatch)
    app = create_app(Settings(batch_size=batch_size), detector)
    usual = detector.metadata.default_size
    async with app.router.lifespan_context(app):
        sizes = sorted({detector.metadata.sizes[-1], usual}, reverse=True)
        expected = [(batch, size) for size in sizes for batch in batches]
        if batches == (1,):  # the usual size once more, to see how long it takes
            expected.append((1, usual))
        assert shapes == expected


async def test_on_a_gpu_every_size_and_batch_is_warm(detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = counted_runs(detector, monkeypatch)
    monkeypatch.setattr(detector, "on_gpu", True)
    app = create_app(Settings(batch_size=4), detector)
    async with app.router.lifespan_context(app):
        assert shapes == [(batch, size) for size in reversed(detector.metadata.sizes) for batch in (4, 2, 1)]


async def test_a_closed_engine_takes_no_requests(detector: OnnxDetector) -> None:
    app = create_app(Settings(), detector)
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await post(client)).status_code == 200
        await engine_of(app).close()
        problem(await post(client), 503)
        problem(await client.get("/health/ready"), 503)


def counted_runs(detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Note the batch and the size of every run of the network from now on."""
    shapes: list[tuple[int, int]] = []
    run = detector.run

    def watched(shown: NDArray[np.uint8], threshold: float) -> list[RawDetections]:
        shapes.append((shown.shape[0], shown.shape[1]))
        return run(shown, threshold)

    monkeypatch.setattr(detector, "run", watched)
    return shapes


def scope() -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/detect",
        "raw_path": b"/detect",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"image/png")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


def receiver(body: bytes, gone: asyncio.Event) -> Any:
    """Give the body at once, and the client's departure when the event is set."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


def sender(sent: list[dict[str, Any]]) -> Any:
    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    return send

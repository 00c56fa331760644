"""What happens when the network is busy, fails, or is not there."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

from app.engine import Engine
from app.errors import QueueFullError
from app.main import create_app
from app.settings import Settings
from model.detections import RawDetections
from model.runtime import OnnxDetector
from tests.app import pictures
from tests.app.conftest import client_of, engine_of, problem

pytestmark = pytest.mark.anyio

PNG = {"content-type": "image/png"}


@pytest.fixture
async def app(detector: OnnxDetector) -> AsyncIterator[FastAPI]:
    app = create_app(Settings(max_waiting=2), detector)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@contextmanager
def busy(engine: Engine) -> Iterator[threading.Event]:
    """Keep the network's thread busy until the event is set."""
    free = threading.Event()
    engine._network.submit(free.wait, 60)
    try:
        yield free
    finally:
        free.set()


async def post(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/detect", content=pictures.red(), headers=PNG)


async def until_inside(engine: Engine, count: int) -> None:
    async with asyncio.timeout(60):
        while engine.inside < count:
            await asyncio.sleep(0.001)


async def test_while_the_network_is_busy(app: FastAPI, client: httpx.AsyncClient) -> None:
    engine = engine_of(app)
    with busy(engine) as free:
        waiting = [asyncio.create_task(post(client)) for _ in range(2)]
        await until_inside(engine, 2)
        refused = await post(client)
        problem(refused, 429)
        assert int(refused.headers["retry-after"]) >= 1
        batch = await client.post("/detect/batch", files={"image": ("a.png", pictures.red())})
        problem(batch, 429)
        # The event loop is free: nothing of a detection runs on it.
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 200
        problem(await client.post("/detect", content=b"text"), 415)
        await asyncio.sleep(0.1)
        free.set()
        answers = await asyncio.gather(*waiting)
    assert [answer.status_code for answer in answers] == [200, 200]
    for answer in answers:
        assert answer.json()["timing_ms"]["queue"] >= 90
    assert engine.inside == 0
    assert (await post(client)).status_code == 200


async def test_a_failed_request_gives_its_place_back(app: FastAPI, client: httpx.AsyncClient) -> None:
    for _ in range(5):
        problem(await client.post("/detect", content=b"text", headers=PNG), 415)
    assert engine_of(app).inside == 0


async def test_retry_after_follows_the_time_of_an_inference(app: FastAPI) -> None:
    engine = engine_of(app)
    engine._inference_seconds = 3.2
    with engine.admission(), engine.admission(), pytest.raises(QueueFullError) as caught:
        engine.admission().__enter__()
    assert caught.value.headers == {"Retry-After": "7"}


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


async def test_every_size_is_warm_before_the_first_request(
    detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    run = detector.run

    def watched(shown: NDArray[np.uint8], threshold: float) -> list[RawDetections]:
        sizes.append(shown.shape[1])
        return run(shown, threshold)

    monkeypatch.setattr(detector, "run", watched)
    app = create_app(Settings(), detector)
    async with app.router.lifespan_context(app):
        assert sizes == list(detector.bundle.sizes)


async def test_a_closed_engine_takes_no_requests(detector: OnnxDetector) -> None:
    app = create_app(Settings(), detector)
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await post(client)).status_code == 200
        engine_of(app).close()
        problem(await post(client), 503)
        problem(await client.get("/health/ready"), 503)

"""What a stream does when its client, or the service, does not do what one hopes for."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.access.keys import make_key
from app.access.rate_limit import RateLimit
from app.http.streaming import inbox
from app.main import create_app
from app.settings import Settings
from model.runtime import OnnxDetector
from tests.app import pictures
from tests.app.conftest import client_of, engine_of
from tests.app.engine.test_engine import busy, counted_runs, until
from tests.app.observe.test_metrics import values
from tests.app.sockets import Refused, Socket, connected
from tests.model_files import tiny_metadata, write_tiny_model

pytestmark = pytest.mark.anyio

FRAME = pictures.red()
KEY, ENTRY = make_key("camera-7")


@pytest.fixture
async def make(tiny_model: Path, detector: OnnxDetector) -> AsyncIterator[Callable[..., Any]]:
    """Start applications with some settings; each stops at the end."""
    stack: list[Any] = []

    async def start(**settings: Any) -> FastAPI:
        app = create_app(Settings(model=tiny_model, **settings), detector)
        context = app.router.lifespan_context(app)
        await context.__aenter__()
        stack.append(context)
        return app

    yield start
    for context in reversed(stack):
        await context.__aexit__(None, None, None)


def nothing_is_held(app: FastAPI) -> None:
    engine = engine_of(app)
    held = engine.admission
    assert (held.pictures, held.frames, held.bytes, held.streams, engine.open_requests) == (0, 0, 0, 0, 0)
    assert engine.waiting == 0


async def test_the_newest_frame_wins(make: Any) -> None:
    app = await make()
    async with connected(app) as socket:
        with busy(engine_of(app)) as free:
            socket.send(FRAME)
            await until(lambda: engine_of(app).admission.frames == 1)
            for _ in range(4):
                socket.send(FRAME)
            await socket.taken()
            free.set()
        answers = [await socket.answer() for _ in range(2)]
        later = await socket.ask(FRAME)
    assert [(answer["frame"], answer["skipped"]) for answer in answers] == [(0, 0), (4, 3)]
    assert (later["frame"], later["skipped"]) == (5, 0)
    nothing_is_held(app)


async def test_one_frame_is_in_flight_and_one_waits_whatever_comes(make: Any) -> None:
    app = await make()
    admission = engine_of(app).admission
    most = 0
    async with connected(app) as socket:
        with busy(engine_of(app)) as free:
            for _ in range(20):
                socket.send(FRAME)
            while not socket._to_service.empty():
                most = max(most, admission.bytes)
                assert admission.frames <= 1
                await asyncio.sleep(0.001)
            free.set()
        await socket.answer()
        assert (await socket.answer())["frame"] == 19
    assert len(FRAME) <= most <= 2 * len(FRAME)
    nothing_is_held(app)


async def test_frames_that_nobody_waits_for_are_read_slowly(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "LATE_BYTES_PER_SECOND", 5 * len(FRAME))
    app = await make()
    async with connected(app) as socket:
        with busy(engine_of(app)) as free:
            for _ in range(30):
                socket.send(FRAME)
            await until(lambda: socket._to_service.qsize() <= 27)  # one is looked at, one waits, and one gave way
            await asyncio.sleep(1.0)
            assert socket._to_service.qsize() >= 20  # five a second
            free.set()


async def test_a_client_that_goes_away_frees_its_place_and_its_frame_never_runs(
    make: Any, detector: OnnxDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await make()
    ran = counted_runs(detector, monkeypatch)
    with busy(engine_of(app)) as free:
        async with connected(app) as other, connected(app) as socket:
            other.send(FRAME)
            await until(lambda: engine_of(app)._batcher._running > 1)
            socket.send(FRAME)
            await until(lambda: engine_of(app).waiting > 0)
            socket.leave()
            assert socket.task is not None
            await socket.task
            assert engine_of(app).waiting == 0
            free.set()
            await other.answer()
    assert len(ran) == 1
    nothing_is_held(app)


async def test_a_client_that_does_not_read_is_let_go(make: Any) -> None:
    app = await make(deadline=0.3)
    async with connected(app) as socket, client_of(app) as client:
        socket.reading.clear()
        socket.send(FRAME)
        response = await client.post("/detect", content=FRAME)  # meanwhile
        assert response.status_code == 200
        assert socket.task is not None
        async with asyncio.timeout(10):
            await socket.task
    nothing_is_held(app)
    assert values(app.state.metrics, "yolo9000_problems_total")["deadline-passed",] == 1


async def test_a_client_that_sends_nothing_is_let_go(make: Any) -> None:
    app = await make(upload_timeout=0.2)
    async with connected(app) as socket:
        assert await socket.closed() == (4408, "A frame did not arrive within 0.2 s.")
    nothing_is_held(app)


async def test_a_client_that_waits_for_its_answer_is_not(make: Any) -> None:
    app = await make(upload_timeout=0.1)
    async with connected(app) as socket:
        with busy(engine_of(app)) as free:
            socket.send(FRAME)
            await asyncio.sleep(0.5)
            free.set()
        assert (await socket.answer())["frame"] == 0


async def test_a_frame_that_takes_too_long_is_given_up_and_the_next_one_answered(make: Any) -> None:
    app = await make(deadline=0.2)
    async with connected(app) as socket:
        with busy(engine_of(app)):
            answer = await socket.ask(FRAME)
            assert (answer["status"], answer["frame"]) == (504, 0)
        assert (await socket.ask(FRAME))["detections"]
    nothing_is_held(app)


async def test_where_no_more_bytes_are_held_a_frame_is_refused(make: Any) -> None:
    app = await make(max_upload_bytes=1000, max_total_upload_bytes=1000)
    async with connected(app) as socket:
        engine_of(app).admission.bytes = 999
        answer = await socket.ask(FRAME)
        assert (answer["status"], answer["frame"]) == (429, 0)
        engine_of(app).admission.bytes = 0
        assert (await socket.ask(FRAME))["detections"]
    nothing_is_held(app)


async def test_a_service_that_stops_answers_the_frame_it_looks_at_and_goes(make: Any) -> None:
    app = await make()
    async with connected(app) as socket, connected(app) as idle:
        with busy(engine_of(app)) as free:
            socket.send(FRAME)
            await until(lambda: engine_of(app).admission.frames == 1)
            socket.send(FRAME)
            await socket.taken()
            engine_of(app).drain()
            assert await idle.closed() == (1001, "The service is stopping.")
            with pytest.raises(Refused) as caught:
                async with connected(app):
                    pass
            assert caught.value.status == 503
            free.set()
        assert (await socket.answer())["frame"] == 0
        assert (await socket.closed())[0] == 1001
    nothing_is_held(app)


async def test_a_stream_that_does_not_end_in_time_is_given_up(make: Any) -> None:
    app = await make()
    async with connected(app) as socket:
        with busy(engine_of(app)):
            socket.send(FRAME)
            await until(lambda: engine_of(app).admission.frames == 1)
            engine_of(app).drain()
            assert engine_of(app).open_requests == 1
            engine_of(app).give_up()
            assert (await socket.closed())[0] == 1001
    nothing_is_held(app)


async def test_a_key_has_its_frames_counted_as_requests(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(RateLimit.__init__, "__defaults__", (lambda: now, None))
    app = await make(api_keys=[str(ENTRY)], rate_limit=2, rate_burst=3)
    async with connected(app, headers={"x-api-key": KEY}) as socket:  # the first
        for _ in range(2):
            assert (await socket.ask(FRAME))["detections"]
        for _ in range(3):
            socket.send(FRAME)
        await socket.taken()
        await asyncio.sleep(0.1)
        assert socket.nothing_waits()
        now += 0.5
        answer = await socket.answer()
        assert (answer["frame"], answer["skipped"]) == (4, 2)
        socket.send(FRAME)
        await socket.taken()
        engine_of(app).drain()  # while it waits for its turn
        assert (await socket.closed())[0] == 1001
    nothing_is_held(app)


async def test_a_fault_of_the_service_is_a_problem_of_the_frame(
    make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    app = await make()
    async with connected(app) as socket:
        with monkeypatch.context() as patch:
            patch.setattr(OnnxDetector, "run", fail)
            answer = await socket.ask(FRAME)
        assert (answer["status"], answer["frame"]) == (500, 0)
        assert "secret" not in str(answer)
        assert "A frame of a stream failed." in caplog.text
        assert (await socket.ask(FRAME))["detections"]


async def test_a_stream_that_breaks_is_closed_as_a_fault(
    make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    app = await make()
    async with connected(app) as socket:
        monkeypatch.setattr("app.http.streaming.stream.stream_answer", fail)
        socket.send(FRAME)
        code, reason = await socket.closed()
        assert code == 1011
        assert "secret" not in reason
    assert "secret" in caplog.text
    nothing_is_held(app)


async def test_a_model_that_is_swapped_answers_from_the_next_frame_on(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "default.onnx")
    app = create_app(Settings(models=tmp_path))
    async with app.router.lifespan_context(app), connected(app) as socket:
        assert (await socket.ask(FRAME))["model"]["version"] == "1.2.3"
        write_tiny_model(tmp_path / "default.onnx", tiny_metadata(version="2.0.0"))
        await app.state.models.refresh()
        answer = await socket.ask(FRAME)
        assert answer["model"]["version"] == "2.0.0"
        assert [found["track"] for found in answer["detections"]] == [2]


async def test_what_is_counted_and_logged(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "yolo9000.access")
    app = await make()
    async with connected(app, query="threshold=0.3", headers={"x-request-id": "mine"}) as socket:
        assert socket.headers["x-request-id"] == "mine"
        assert values(app.state.metrics, "yolo9000_streams") == {(): 1}
        await socket.ask(FRAME)
        await socket.ask(b"rubbish")
    assert values(app.state.metrics, "yolo9000_streams") == {(): 0}
    frames = values(app.state.metrics, "yolo9000_stream_frames_total")
    assert frames == {("answered",): 1, ("refused",): 1, ("skipped",): 0}
    assert values(app.state.metrics, "yolo9000_stream_delay_seconds_count") == {(): 2}
    assert values(app.state.metrics, "yolo9000_request_duration_seconds_count") == {}
    assert values(app.state.metrics, "yolo9000_requests_in_progress") == {(): 0}
    (line,) = (record for record in caplog.records if record.name == "yolo9000.access")
    assert line.getMessage() == "GET /detect/stream 101"
    found = vars(line)
    assert (found["pictures"], found["detections"], found["bytes_received"]) == (1, 1, len(FRAME) + len(b"rubbish"))
    assert found["path"] == "/detect/stream"


async def test_a_refused_handshake_is_counted_as_a_request(make: Any) -> None:
    app = await make()
    with pytest.raises(Refused) as caught:
        async with connected(app, query="threshold=2"):
            pass
    assert caught.value.headers["x-request-id"]
    counted = values(app.state.metrics, "yolo9000_request_duration_seconds_count")
    assert counted == {("GET", "/detect/stream", "422"): 1}


async def test_streams_take_turns(make: Any) -> None:
    """One that floods gets no more answers than one that sends its next frame when it has its answer."""
    app = await make(max_streams=3)
    counts = [0, 0, 0]

    async def flood(socket: Socket) -> None:
        while True:
            socket.send(FRAME)
            await asyncio.sleep(0.001)

    async def read(socket: Socket, place: int) -> None:
        while True:
            await socket.answer()
            counts[place] += 1
            if place:
                socket.send(FRAME)

    async with connected(app) as first, connected(app) as second, connected(app) as third:
        work = [asyncio.create_task(read(socket, place)) for place, socket in enumerate((first, second, third))]
        work.append(asyncio.create_task(flood(first)))
        for socket in (second, third):
            socket.send(FRAME)
        await until(lambda: sum(counts) >= 90)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        first._to_service = asyncio.Queue()
    assert min(counts) >= 0.6 * max(counts), counts

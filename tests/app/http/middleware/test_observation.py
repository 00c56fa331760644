import asyncio
import logging
import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.app import pictures
from tests.app.conftest import client_of, problem, started
from tests.app.observe.test_metrics import values

pytestmark = pytest.mark.anyio

PNG = {"content-type": "image/png"}
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def access(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The access log, quiet lines included."""
    caplog.set_level(logging.DEBUG, "yolo9000.access")
    return caplog


def line(access: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Return the fields of the only line of the access log."""
    (found,) = (record for record in access.records if record.name == "yolo9000.access")
    return {"message": found.getMessage(), "level": found.levelname, **vars(found)}


async def test_the_line_of_a_detection(client: httpx.AsyncClient, access: pytest.LogCaptureFixture) -> None:
    data = pictures.red_and_blue()
    response = await client.post("/detect?threshold=0.3", content=data, headers=PNG)
    found = line(access)
    assert found["message"] == "POST /detect 200"
    assert found["level"] == "INFO"
    assert (found["pictures"], found["detections"]) == (1, 2)
    assert (found["bytes_received"], found["bytes_sent"]) == (len(data), len(response.content))
    assert set(found["stages_ms"]) == {"decode", "queue", "inference", "postprocess"}
    timing = response.json()["timing_ms"]
    for stage in ("decode", "inference", "postprocess"):
        assert found["stages_ms"][stage] == pytest.approx(timing[stage], abs=0.011)
    assert found["duration_ms"] >= sum(timing.values()) - 0.05
    assert found["path"] == "/detect"
    assert "0.3" not in str(found["message"])


async def test_a_batch_tells_of_all_its_pictures(
    app: FastAPI, client: httpx.AsyncClient, access: pytest.LogCaptureFixture
) -> None:
    files = [("image", pictures.red()), ("image", b"no picture"), ("image", pictures.red_and_blue())]
    assert (await client.post("/detect/batch", files=files)).status_code == 200
    found = line(access)
    assert (found["pictures"], found["detections"]) == (2, 3)
    assert "problem" not in found
    problems = values(app.state.metrics, "yolo9000_problems_total")
    assert {kind for (kind,), count in problems.items() if count} == {"unsupported-type"}
    assert values(app.state.metrics, "yolo9000_batch_size_count") == {(): 2}


async def test_the_line_of_an_error(client: httpx.AsyncClient, access: pytest.LogCaptureFixture) -> None:
    await client.get("/classes/%0Aforged%20line?key=secret")
    found = line(access)
    assert found["message"] == "GET /classes/{wnid} 404"
    assert found["path"] == "/classes/%0Aforged%20line"
    assert found["problem"] == "unknown-wnid"
    assert "secret" not in str(found)


async def test_routes_that_are_asked_all_the_time_are_quiet(app: FastAPI, access: pytest.LogCaptureFixture) -> None:
    async with started(app) as client:
        await client.get("/health/ready")
    assert line(access)["level"] == "DEBUG"
    access.clear()
    async with client_of(app) as client:
        app.state.engine = None
        problem(await client.get("/health/ready"), 503)
    assert line(access)["level"] == "INFO"


async def test_the_clients_request_id_is_kept_if_it_is_harmless(client: httpx.AsyncClient) -> None:
    answer = await client.get("/model", headers={"x-request-id": "order-17.a:b"})
    assert answer.headers["x-request-id"] == "order-17.a:b"
    for given in ("", "two words", "x" * 65, 'a"b'):
        own = (await client.get("/model", headers={"x-request-id": given})).headers["x-request-id"]
        assert own != given
        assert len(own) == 32


async def test_the_trace_goes_on(client: httpx.AsyncClient, access: pytest.LogCaptureFixture) -> None:
    answer = await client.get("/model", headers={"traceparent": TRACEPARENT})
    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    _, given_trace, given_span, _ = TRACEPARENT.split("-")
    assert (version, trace_id, flags) == ("00", given_trace, "01")
    assert span_id != given_span
    assert answer.headers["x-request-id"] == given_trace
    assert line(access)["span_id"] == span_id
    other = (await client.get("/model", headers={"traceparent": "00-broken"})).headers["traceparent"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", other)


async def test_an_unexpected_error_is_logged_once_and_answered_with_its_id(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("secret")

    async with client_of(app) as client:
        response = await client.get("/broken", headers={"x-request-id": "mine"})
    problem(response, 500)
    assert response.headers["x-request-id"] == "mine"
    (failed,) = (record for record in caplog.records if record.exc_info)
    assert "secret" in str(failed.exc_info)
    assert values(app.state.metrics, "yolo9000_problems_total")[("internal-error",)] == 1


async def test_an_answer_that_breaks_off_is_not_followed_by_another(app: FastAPI) -> None:
    @app.get("/half")
    async def half() -> None:
        raise NotImplementedError  # replaced below: FastAPI itself never breaks an answer off

    async def break_off(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half way")

    app.router.routes.insert(0, next(route for route in app.routes if getattr(route, "path", "") == "/half"))
    app.router.routes[0].app = break_off  # type: ignore[attr-defined]
    async with client_of(app) as client:
        response = await client.get("/half")
    assert response.status_code == 200
    assert response.content == b""


async def test_requests_in_progress_are_counted_and_labels_stay_few(app: FastAPI, client: httpx.AsyncClient) -> None:
    metrics = app.state.metrics
    during: list[float] = []

    @app.get("/wait")
    async def wait() -> None:
        during.append(values(metrics, "yolo9000_requests_in_progress")[()])
        await asyncio.sleep(0)

    await client.get("/wait")
    assert during == [1]
    assert values(metrics, "yolo9000_requests_in_progress")[()] == 0
    for number in range(20):
        await client.get(f"/nowhere/{number}")
        await client.get(f"/classes/n{number}")
        await client.request(f"BREW{number}", "/detect")
    counts = values(metrics, "yolo9000_request_duration_seconds_count")
    assert counts[("GET", "other", "404")] == 20
    assert counts[("GET", "/classes/{wnid}", "404")] == 20
    assert {method for method, _, _ in counts} == {"GET", "other"}

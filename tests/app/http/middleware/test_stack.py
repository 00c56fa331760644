import logging
from pathlib import Path

import httpx
import pytest
from starlette.middleware.cors import CORSMiddleware

from app.http.middleware.errors import UnexpectedErrorMiddleware
from app.http.middleware.head import HeadMiddleware
from app.http.middleware.headers import SecurityHeadersMiddleware
from app.http.middleware.observation import ObservationMiddleware
from app.http.middleware.request_head import RequestHeadMiddleware
from app.main import create_app
from app.settings import Settings
from model.runtime import OnnxDetector
from tests.app.conftest import problem, started

pytestmark = pytest.mark.anyio

ORIGIN = {"origin": "https://page.example"}


async def test_by_default_no_other_site_may_call(client: httpx.AsyncClient) -> None:
    assert "access-control-allow-origin" not in (await client.get("/model", headers=ORIGIN)).headers
    asked = {"access-control-request-method": "POST"}
    problem(await client.options("/detect", headers=ORIGIN | asked), 405)


async def test_origins_that_are_set_may_call(tiny_model: Path, detector: OnnxDetector) -> None:
    settings = Settings(model=tiny_model, cors_origins=[ORIGIN["origin"]])
    async with started(create_app(settings, detector)) as client:
        answer = await client.get("/model", headers=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        other = await client.get("/model", headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_a_preflight_is_observed(
    tiny_model: Path, detector: OnnxDetector, caplog: pytest.LogCaptureFixture
) -> None:
    """It has a request id, a line in the log and a count in the metrics, and the headers of every answer."""
    settings = Settings(model=tiny_model, cors_origins=[ORIGIN["origin"]])
    caplog.set_level(logging.INFO, "yolo9000.access")
    async with started(create_app(settings, detector)) as client:
        asked = ORIGIN | {"access-control-request-method": "POST", "x-request-id": "preflight-1"}
        answer = await client.options("/detect", headers=asked)
        metrics = (await client.get("/metrics")).text
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert answer.headers["x-request-id"] == "preflight-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "OPTIONS other 200" in caplog.messages
    assert 'method="OPTIONS"' in metrics


async def test_an_unexpected_error_has_every_answers_headers(tiny_model: Path, detector: OnnxDetector) -> None:
    app = create_app(Settings(model=tiny_model, cors_origins=[ORIGIN["origin"]]), detector)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("nobody expected this")

    async with started(app) as client:
        answer = await client.get("/broken", headers=ORIGIN)
    problem(answer, 500)
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]


async def test_observation_stands_outermost(tiny_model: Path, detector: OnnxDetector) -> None:
    app = create_app(Settings(model=tiny_model, cors_origins=[ORIGIN["origin"]]), detector)
    expected: tuple[object, ...] = (
        ObservationMiddleware,
        SecurityHeadersMiddleware,
        CORSMiddleware,
        UnexpectedErrorMiddleware,
        RequestHeadMiddleware,
        HeadMiddleware,
    )
    assert all(each.cls is kind for each, kind in zip(app.user_middleware, expected, strict=True))

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.access.keys import make_key
from app.main import create_app
from app.settings import Settings
from model.runtime import OnnxDetector
from tests.app import pictures
from tests.app.conftest import problem, started

pytestmark = pytest.mark.anyio

KEY, ENTRY = make_key("camera-7")
OTHER, OTHER_ENTRY = make_key("other")
PNG = {"content-type": "image/png"}


@pytest.fixture
def make_app(tiny_model: Path, detector: OnnxDetector) -> Any:
    def make(**settings: Any) -> FastAPI:
        entries = [str(ENTRY), str(OTHER_ENTRY)]
        return create_app(Settings(model=tiny_model, api_keys=entries, **settings), detector)

    return make


@pytest.fixture
async def guarded(make_app: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with started(make_app()) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_a_known_key_opens_either_way(guarded: httpx.AsyncClient) -> None:
    for headers in (bearer(KEY), {"authorization": f"bearer  {OTHER}"}, {"x-api-key": KEY}):
        assert (await guarded.get("/model", headers=headers)).status_code == 200
        answer = await guarded.post("/detect", content=pictures.red(), headers=PNG | headers)
        assert answer.json()["detections"]


@pytest.mark.parametrize("path", ["/model", "/classes", "/detect", "/metrics", "/nowhere", "/health", "/detect/"])
async def test_without_a_key_nothing_is_told(guarded: httpx.AsyncClient, path: str) -> None:
    others: list[dict[str, str]] = [{}, {"authorization": f"Basic {KEY}"}, {"x-api-key": KEY[:-1]}]
    for headers in (bearer("y9k_wrong"), bearer(""), bearer("é"), *others):
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        response = await guarded.get(path, headers=encoded)
        body = problem(response, 401)
        assert body["type"] == "urn:yolo9000:problem:unauthorized"
        assert response.headers["www-authenticate"].startswith("Bearer ")
        assert response.headers["x-request-id"]


async def test_the_body_of_a_stranger_is_not_read(guarded: httpx.AsyncClient) -> None:
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(b"")
        yield pictures.red()

    problem(await guarded.post("/detect", content=body(), headers=PNG), 401)
    assert not read


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json"])
async def test_what_is_open_needs_no_key(guarded: httpx.AsyncClient, path: str) -> None:
    assert (await guarded.get(path)).status_code == 200


async def test_metrics_can_be_open_or_off(make_app: Any) -> None:
    async with started(make_app(metrics="open")) as client:
        assert (await client.get("/metrics")).status_code == 200
        problem(await client.get("/model"), 401)
    async with started(make_app(metrics="off")) as client:
        problem(await client.get("/metrics", headers=bearer(KEY)), 404)


async def test_each_key_has_its_own_limit(make_app: Any) -> None:
    async with started(make_app(rate_limit=0.01, rate_burst=2)) as client:
        for _ in range(2):
            assert (await client.get("/model", headers=bearer(KEY))).status_code == 200
        response = await client.get("/model", headers=bearer(KEY))
        assert problem(response, 429)["type"] == "urn:yolo9000:problem:rate-limited"
        assert 1 < int(response.headers["retry-after"]) <= 100
        assert (await client.get("/model", headers=bearer(OTHER))).status_code == 200
        problem(await client.get("/model", headers=bearer("wrong")), 401)
        assert (await client.get("/health/ready")).status_code == 200


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


async def test_the_log_names_the_key_but_never_shows_one(
    guarded: httpx.AsyncClient, everything_logged: pytest.LogCaptureFixture
) -> None:
    await guarded.get(f"/model?key={KEY}", headers=bearer(KEY))
    await guarded.get("/model", headers=bearer("y9k_wrong"))
    lines = [record for record in everything_logged.records if record.name.startswith(("yolo9000", "app"))]
    text = "\n".join(str(vars(record)) for record in lines)
    assert "camera-7" in text
    for secret in (KEY, "y9k_wrong", ENTRY.digest.hex(), OTHER_ENTRY.digest.hex()):
        assert secret not in text


async def test_a_preflight_request_carries_no_key(make_app: Any) -> None:
    async with started(make_app(cors_origins=["https://a.org"])) as client:
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        answer = await client.options("/detect", headers={"origin": "https://a.org", **asked})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://a.org"
        answer = await client.get("/model", headers={"origin": "https://a.org"})
        problem(answer, 401)
        assert answer.headers["access-control-allow-origin"] == "https://a.org"

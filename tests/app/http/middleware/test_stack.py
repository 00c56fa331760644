from pathlib import Path

import httpx
import pytest

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


async def test_origins_that_are_set_may_call(tiny_bundle: Path, detector: OnnxDetector) -> None:
    settings = Settings(model=tiny_bundle, cors_origins=[ORIGIN["origin"]])
    async with started(create_app(settings, detector)) as client:
        answer = await client.get("/model", headers=ORIGIN)
        assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        other = await client.get("/model", headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers

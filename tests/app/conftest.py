from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.engine.engine import Engine
from app.main import create_app
from app.settings import Settings
from model.runtime import OnnxDetector


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def app(tiny_model: Path, detector: OnnxDetector) -> FastAPI:
    """An application whose lifespan has not started."""
    return create_app(Settings(model=tiny_model, max_upload_bytes=100_000), detector)


def started(app: FastAPI) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """Run the application's lifespan around a client that speaks to it."""

    @asynccontextmanager
    async def run() -> AsyncIterator[httpx.AsyncClient]:
        async with app.router.lifespan_context(app), client_of(app) as client:
            yield client

    return run()


def client_of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://service")


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with started(app) as client:
        yield client


def engine_of(app: FastAPI) -> Engine:
    engine: Engine = app.state.engine
    return engine


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check that an answer is problem details of this status, and return them."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:yolo9000:problem:")
    assert body["title"]
    assert body["detail"].endswith((".", "!", "?"))
    assert set(body) <= {"type", "title", "status", "detail", "errors", "concepts"}
    return body

import httpx
import pytest
from fastapi import FastAPI

from tests.app import pictures
from tests.app.conftest import client_of, problem
from tests.model_files import SIZES, tiny_metadata, tiny_tree

pytestmark = pytest.mark.anyio


async def test_model(client: httpx.AsyncClient) -> None:
    response = await client.get("/model")
    assert response.status_code == 200
    body = response.json()
    metadata = tiny_metadata()
    assert body["name"] == "tiny"
    assert body["version"] == "1.2.3"
    assert body["schema_version"] == 1
    assert body["licence"] == metadata.licence
    assert body["tree"] == {"digest": tiny_tree().digest, "nodes": 11, "roots": 2, "leaves": 7, "trained": 9}
    assert body["sizes"] == list(SIZES)
    assert body["default_size"] == 96
    assert body["thresholds"] == {"objectness": 0.25, "hierarchy": 0.5, "iou": 0.45}
    assert body["preprocessing"]["colour"] == "RGB"
    assert body["training"] == metadata.training
    assert body["evaluation"] == metadata.evaluation
    assert body["providers"] == ["CPUExecutionProvider"]


async def test_health(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"status": "live"}
    assert (await client.get("/health/ready")).json() == {"status": "ready", "providers": ["CPUExecutionProvider"]}


async def test_before_the_model_is_ready(app: FastAPI) -> None:
    async with client_of(app) as client:
        assert (await client.get("/health/live")).status_code == 200
        for path in ("/health/ready", "/model", "/classes", "/classes/n02084071"):
            problem(await client.get(path), 503)
        headers = {"content-type": "image/png"}
        problem(await client.post("/detect", content=pictures.red(), headers=headers), 503)


async def test_after_the_service_has_stopped(app: FastAPI) -> None:
    async with client_of(app) as client:
        async with app.router.lifespan_context(app):
            assert (await client.get("/health/ready")).status_code == 200
        problem(await client.get("/health/ready"), 503)

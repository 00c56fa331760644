from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from model.runtime import OnnxDetector
from tests.app import pictures
from tests.app.conftest import client_of, problem, started
from tests.app.pictures import BLUE, draw, encode

pytestmark = pytest.mark.anyio


async def post(client: httpx.AsyncClient, *files: bytes, **parameters: Any) -> httpx.Response:
    form = [("image", (f"{number}.png", data)) for number, data in enumerate(files)]
    return await client.post("/detect/batch", files=form, params=parameters)


async def test_each_picture_has_its_own_result_or_error(client: httpx.AsyncClient) -> None:
    blue = encode(draw({"blue": BLUE}))
    response = await post(client, pictures.red(), b"text", b"", blue[:40], blue)
    assert response.status_code == 200
    results = response.json()["results"]
    assert [result.get("status") for result in results] == [None, 415, 400, 400, None]
    for result in results[1:4]:
        assert list(result) == ["type", "title", "status", "detail"]
    assert results[0]["detections"][0]["label"]["name"] == "beagle"
    assert results[4]["detections"][0]["label"]["name"] == "bicycle"
    assert list(results[0]) == ["image", "detections", "model", "timing_ms"]


async def test_parameters_hold_for_every_picture(client: httpx.AsyncClient) -> None:
    results = (await post(client, pictures.red(), pictures.red_and_blue(), under="n04524313")).json()["results"]
    assert [len(result["detections"]) for result in results] == [0, 1]


async def test_faulty_parameters_fail_the_whole_request(client: httpx.AsyncClient) -> None:
    problem(await post(client, pictures.red(), threshold=2), 422)
    problem(await post(client, pictures.red(), under="n00000000"), 404)


async def test_too_many_pictures(tiny_model: Any, detector: OnnxDetector) -> None:
    async with started(create_app(Settings(model=tiny_model, max_batch=3), detector)) as client:
        assert len((await post(client, *[pictures.red()] * 3)).json()["results"]) == 3
        assert "limit of 3" in problem(await post(client, *[pictures.red()] * 4), 413)["detail"]


async def test_no_pictures(client: httpx.AsyncClient) -> None:
    response = await client.post("/detect/batch", files={"photo": ("a.png", pictures.red())})
    assert "'image'" in problem(response, 400)["detail"]
    response = await client.post("/detect/batch", content=pictures.red(), headers={"content-type": "image/png"})
    problem(response, 415)


async def test_a_fault_of_the_service_is_logged_and_tells_nothing(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with app.router.lifespan_context(app), client_of(app) as client:

        def fail(*_: object) -> None:
            raise RuntimeError("secret")

        monkeypatch.setattr(OnnxDetector, "run", fail)
        results = (await post(client, pictures.red())).json()["results"]
    assert results[0]["status"] == 500
    assert "secret" not in str(results)
    assert "secret" in caplog.text

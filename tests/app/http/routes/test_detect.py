import asyncio
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.app import pictures
from tests.app.conftest import problem, started
from tests.app.pictures import BLUE, RED, SIZE, draw, encode, near
from tests.model_files import tiny_tree, write_tiny_model

pytestmark = pytest.mark.anyio

BEAGLE, DOG, BICYCLE, VEHICLE = "n02088364", "n02084071", "n02834778", "n04524313"
PNG = {"content-type": "image/png"}


async def post(client: httpx.AsyncClient, data: bytes, **parameters: Any) -> httpx.Response:
    return await client.post("/detect", content=data, params=parameters, headers=PNG)


async def labels(client: httpx.AsyncClient, data: bytes, **parameters: Any) -> list[str]:
    response = await post(client, data, **parameters)
    assert response.status_code == 200, response.text
    return [found["label"]["name"] for found in response.json()["detections"]]


def without_timing(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {key: value for key, value in response.json().items() if key != "timing_ms"}


async def test_answers_in_the_documented_form(client: httpx.AsyncClient) -> None:
    response = await post(client, pictures.red_and_blue())
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["image", "detections", "model", "timing_ms"]
    assert body["image"] == {"width": SIZE[0], "height": SIZE[1]}
    assert body["model"] == {"name": "tiny", "version": "1.2.3", "tree": tiny_tree().digest}
    assert list(body["timing_ms"]) == ["decode", "queue", "inference", "postprocess"]
    assert all(value >= 0 for value in body["timing_ms"].values())
    found = {entry["label"]["name"]: entry for entry in body["detections"]}
    assert set(found) == {"beagle", "bicycle"}
    assert near(found["beagle"]["box"], RED)
    assert near(found["bicycle"]["box"], BLUE)
    beagle = found["beagle"]
    assert list(beagle) == ["box", "label", "score", "objectness", "path", "alternatives"]
    assert all(list(step) == ["wnid", "name", "probability"] for step in beagle["path"])
    assert [step["name"] for step in beagle["path"]] == ["object", "animal", "dog", "beagle"]
    assert {key: beagle["path"][-1][key] for key in ("wnid", "name")} == beagle["label"]
    assert beagle["label"]["wnid"] == BEAGLE


async def test_an_answer_that_stops_early_says_what_it_hesitated_between(client: httpx.AsyncClient) -> None:
    green = encode(draw({"green": RED}))
    (dog,) = (await post(client, green)).json()["detections"]
    assert dog["label"]["name"] == "dog"
    assert [(other["name"], round(other["probability"], 2)) for other in dog["alternatives"]] == [
        ("beagle", 0.5),
        ("poodle", 0.5),
    ]
    (leaf,) = (await post(client, green, hierarchy_threshold=0, alternatives="path")).json()["detections"]
    assert [step["name"] for step in leaf["path"]] == ["object", "animal", "dog", "beagle"]
    assert [step["alternatives"] for step in leaf["path"][-2:]] == [dog["alternatives"], []]
    assert leaf["alternatives"] == []
    assert (await post(client, green, alternatives="all")).status_code == 422


async def test_scores_follow_from_the_path_and_descend(client: httpx.AsyncClient) -> None:
    detections = (await post(client, pictures.red_and_blue())).json()["detections"]
    scores = [found["score"] for found in detections]
    assert scores == sorted(scores, reverse=True)
    for found in detections:
        probabilities = [step["probability"] for step in found["path"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert found["score"] == pytest.approx(found["objectness"] * probabilities[-1], abs=2e-6)


async def test_form_and_raw_body_give_the_same_answer(client: httpx.AsyncClient) -> None:
    data = pictures.red_and_blue()
    form = await client.post("/detect", files={"image": ("any name.png", data)}, data={"other": "field"})
    assert without_timing(form) == without_timing(await post(client, data))


async def test_an_empty_scene_has_no_detections(client: httpx.AsyncClient) -> None:
    assert await labels(client, encode(draw({}))) == []


async def test_thresholds(client: httpx.AsyncClient) -> None:
    assert await labels(client, pictures.red(), threshold=0.89) == ["beagle"]
    assert await labels(client, pictures.red(), threshold=0.91) == []
    assert await labels(client, pictures.red(), threshold=0) == ["beagle"]
    green = encode(draw({"green": RED}))
    assert await labels(client, green) == ["dog"]
    assert await labels(client, green, hierarchy_threshold=0.3) == ["beagle"]
    assert await labels(client, pictures.red(), hierarchy_threshold=0.9999) == ["object"]


async def test_most_detections(client: httpx.AsyncClient) -> None:
    assert len(await labels(client, pictures.red_and_blue(), max_detections=1)) == 1


async def test_under_answers_only_within_subtrees(client: httpx.AsyncClient) -> None:
    data = pictures.red_and_blue()
    assert await labels(client, data, under=DOG) == ["beagle"]
    assert await labels(client, data, under=VEHICLE) == ["bicycle"]
    assert set(await labels(client, data, under=[DOG, VEHICLE])) == {"beagle", "bicycle"}
    assert await labels(client, data, under="n00020827") == []  # untrained: nothing can be found


async def test_related_labels_on_one_place_are_one_object(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "copies.onnx", copies=3)
    async with started(create_app(Settings(model=model))) as client:
        assert await labels(client, pictures.red()) == ["beagle"]
        assert await labels(client, pictures.red(), iou_threshold=1) == ["beagle", "dog", "dog"]


async def test_sizes(client: httpx.AsyncClient) -> None:
    for size in (64, 96, 128):
        response = await post(client, pictures.red(), size=size)
        assert near(response.json()["detections"][0]["box"], RED, pixels=SIZE[0] / size + 1)
    body = problem(await post(client, pictures.red(), size=100), 422)
    assert body["errors"] == [{"name": "size", "detail": "must be one of 64, 96, 128"}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", "-0.1"),
        ("threshold", "1.01"),
        ("threshold", "nan"),
        ("threshold", "inf"),
        ("threshold", "much"),
        ("hierarchy_threshold", "2"),
        ("iou_threshold", "-1"),
        ("max_detections", "0"),
        ("max_detections", "301"),
        ("max_detections", "1.5"),
        ("size", "big"),
        ("size", "-32"),
        ("under", "n" * 1000),
        ("treshold", "0.5"),
    ],
)
async def test_parameters_out_of_range(client: httpx.AsyncClient, name: str, value: str) -> None:
    body = problem(await post(client, pictures.red(), **{name: value}), 422)
    assert [error["name"].partition(".")[0] for error in body["errors"]] == [name]
    assert len(body["detail"]) < 300


async def test_unknown_wnid(client: httpx.AsyncClient) -> None:
    body = problem(await post(client, pictures.red(), under=[DOG, "n00000000"]), 404)
    assert "n00000000" in body["detail"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP"])
async def test_exif_orientation(client: httpx.AsyncClient, orientation: int, picture_format: str) -> None:
    """Whichever way the file holds the picture, boxes are those of the picture a person sees."""
    seen = draw({"red": RED, "blue": BLUE})
    flips: dict[int, list[int]] = {1: [], 2: [0], 3: [3], 4: [1], 5: [5], 6: [2], 7: [6], 8: [4]}
    stored = seen
    for flip in flips[orientation]:
        stored = stored.transpose(flip)  # type: ignore[arg-type]
    response = await post(client, encode(stored, picture_format, orientation))
    body = response.json()
    assert body["image"] == {"width": SIZE[0], "height": SIZE[1]}
    found = {entry["label"]["name"]: entry["box"] for entry in body["detections"]}
    assert near(found["beagle"], RED, 4)
    assert near(found["bicycle"], BLUE, 4)


@pytest.mark.parametrize(
    "picture",
    [
        draw({"red": RED}).convert("RGBA"),
        draw({"red": RED}).convert("P"),
        draw({"red": RED}, (1000, 40)),
        draw({}, (1, 1)),
        draw({}, (1, 700)),
        draw({}).convert("L"),
        draw({}).convert("1"),
    ],
    ids=["alpha", "palette", "wide", "one pixel", "a line", "grey", "bilevel"],
)
async def test_odd_pictures(client: httpx.AsyncClient, picture: Any) -> None:
    body = without_timing(await post(client, encode(picture)))
    assert (body["image"]["width"], body["image"]["height"]) == picture.size


async def test_concurrent_requests_get_their_own_answers(app: FastAPI) -> None:
    boxes = [(5 * step, 2 * step, 5 * step + 60, 2 * step + 40) for step in range(12)]
    async with started(app) as client:
        requests = [post(client, encode(draw({"red": box}))) for box in boxes]
        answers = await asyncio.gather(*requests)
    for answer, box in zip(answers, boxes, strict=True):
        assert near(answer.json()["detections"][0]["box"], box)


async def test_numbers_are_float32_written_in_full(client: httpx.AsyncClient) -> None:
    """Whoever reads them has what the service compared with its thresholds, and computes on without a loss."""
    response = await client.post("/detect", content=pictures.red_and_blue(), headers={"content-type": "image/png"})
    for found in response.json()["detections"]:
        numbers = [*found["box"].values(), found["score"], found["objectness"]]
        numbers += [step["probability"] for step in found["path"]]
        assert all(float(str(np.float32(number))) == number for number in numbers)
        product = np.float32(found["objectness"]) * np.float32(found["path"][-1]["probability"])
        assert np.float32(found["score"]) == product

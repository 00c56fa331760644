"""The model that comes with the package, served as a user serves it, looking at real photographs."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.settings import Settings
from model.geometry import box_iou
from tests.app.servers import serving

DOG_PICTURE = Path(__file__).parents[2] / "docs" / "dog.jpg"
DOG_BOX = (130, 220, 310, 540)
TRUCK_BOX = (466, 74, 692, 172)

DOG, CAT, PERSON = "n02084071", "n02121620", "n00007846"
BICYCLE = "n02834778"
INSTRUMENTALITY = "n03575240"
WHEELED_VEHICLE = "n04576211"  # cars and trucks hang below it; 'vehicle' has craft, rockets and sleds


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    with serving() as client:
        yield client


def photograph(name: str) -> bytes:
    """Return one of the pictures that lie in scikit-image's wheel."""
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "data" / name).read_bytes()


def detect(server: httpx.Client, data: bytes, **parameters: Any) -> Any:
    response = server.post("/detect", files={"image": data}, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def within(body: Any, wnid: str) -> list[Any]:
    """Return the detections whose path holds a concept."""
    return [found for found in body["detections"] if wnid in {step["wnid"] for step in found["path"]}]


def overlap(found: Any, box: Sequence[float]) -> float:
    corners = [found["box"][side] for side in ("x1", "y1", "x2", "y2")]
    return float(box_iou(np.array([corners], np.float32), np.array([box], np.float32))[0, 0])


def test_it_is_the_default() -> None:
    assert Settings().model.name == "default.onnx"
    assert Settings().model.is_file()


def test_it_knows_the_whole_tree(server: httpx.Client) -> None:
    model = server.get("/model").json()
    assert model["tree"]["nodes"] == 9418
    assert model["tree"]["roots"] == 4
    assert 0 < model["tree"]["trained"] <= 9418
    assert model["providers"] == ["CPUExecutionProvider"]
    assert [item["name"] for item in server.get("/classes").json()["items"]] == [
        "thing",
        "matter",
        "object",
        "atmospheric phenomenon",
    ]
    for wnid in (DOG, CAT, PERSON, BICYCLE, WHEELED_VEHICLE):
        assert server.get(f"/classes/{wnid}").json()["trained"] is True


def test_a_cat(server: httpx.Client) -> None:
    """Chelsea's face fills the picture, 451 x 300 pixels."""
    body = detect(server, photograph("chelsea.png"))
    assert body["image"] == {"width": 451, "height": 300}
    assert within(body, CAT)
    assert overlap(within(body, CAT)[0], (0, 0, 451, 300)) > 0.3


def test_an_astronaut(server: httpx.Client) -> None:
    """Eileen Collins, from the head to the waist, in a picture of 512 x 512 pixels."""
    people = within(detect(server, photograph("astronaut.png")), PERSON)
    assert people
    assert max(overlap(found, (18, 14, 365, 512)) for found in people) >= 0.5


def test_every_answer_is_well_formed(server: httpx.Client) -> None:
    for name in ("chelsea.png", "astronaut.png", "coffee.png", "rocket.jpg", "page.png"):
        body = detect(server, photograph(name), threshold=0.01, max_detections=300)
        width, height = body["image"]["width"], body["image"]["height"]
        scores = [found["score"] for found in body["detections"]]
        assert scores == sorted(scores, reverse=True)
        for found in body["detections"]:
            box = found["box"]
            assert 0 <= box["x1"] < box["x2"] <= width
            assert 0 <= box["y1"] < box["y2"] <= height
            probabilities = [step["probability"] for step in found["path"]]
            assert probabilities == sorted(probabilities, reverse=True)
            assert found["path"][-1]["wnid"] == found["label"]["wnid"]
            assert found["score"] == pytest.approx(found["objectness"] * probabilities[-1], abs=2e-6)


def test_under_keeps_to_the_subtree(server: httpx.Client) -> None:
    body = detect(server, photograph("chelsea.png"), under=CAT, hierarchy_threshold=0.1)
    assert body["detections"]
    assert len(within(body, CAT)) == len(body["detections"])


def test_every_size(server: httpx.Client) -> None:
    for size in server.get("/model").json()["sizes"]:
        assert detect(server, photograph("chelsea.png"), size=size)["image"]["width"] == 451


@pytest.mark.skipif(not DOG_PICTURE.exists(), reason="needs dog.jpg of Debian's package darknet")
def test_the_dog_and_the_bicycle(server: httpx.Client) -> None:
    body = detect(server, DOG_PICTURE.read_bytes())
    assert body["image"] == {"width": 768, "height": 576}
    dogs = within(body, DOG)
    assert dogs
    assert max(overlap(dog, DOG_BOX) for dog in dogs) >= 0.5
    assert within(body, BICYCLE)
    instruments = within(body, INSTRUMENTALITY)  # the truck: right, as far as it goes
    assert max(overlap(found, TRUCK_BOX) for found in instruments) >= 0.5


@pytest.mark.xfail(strict=True, reason="the embedded model finds the truck, but calls it no more than instrumentality")
def test_the_truck_is_a_wheeled_vehicle(server: httpx.Client) -> None:
    found = within(detect(server, DOG_PICTURE.read_bytes()), WHEELED_VEHICLE)
    assert max((overlap(one, TRUCK_BOX) for one in found), default=0) >= 0.5

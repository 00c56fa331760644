"""The model that comes with the package, served as a user serves it, looking at real photographs."""

import io
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.settings import Settings
from model.geometry import box_iou
from tests.app.servers import serving

pytestmark = pytest.mark.slow

DOG_PICTURE = Path(__file__).parents[2] / "docs" / "dog.jpg"
DOG_BOX = (130, 220, 310, 540)
BICYCLE_BOX = (124, 133, 568, 420)
TRUCK_BOX = (466, 74, 692, 172)

DOG, CAT, PERSON = "n02084071", "n02121620", "n00007846"
BICYCLE = "n02834778"
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


def nothings() -> dict[str, NDArray[np.uint8]]:
    """Return pictures of nothing, [H, W, 3]: plain ones, gradients, noise."""
    found: dict[str, NDArray[np.uint8]] = {}
    height, width = 300, 400
    for name, colour in {"black": 0, "grey": 127, "white": 255, "blue": (30, 60, 200), "green": (60, 160, 70)}.items():
        found[name] = np.broadcast_to(np.array(colour, np.uint8), (height, width, 3))
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    gradients = {"down": down, "across": across, "from the middle": np.hypot(down - 0.5, across - 0.5) / np.sqrt(0.5)}
    for name, share in gradients.items():
        found[f"grey {name}"] = np.repeat((255 * share[..., None]).astype(np.uint8), 3, axis=2)
        sky = np.array((90, 140, 220)) * (1 - share[..., None]) + np.array((230, 225, 200)) * share[..., None]
        found[f"sky {name}"] = sky.astype(np.uint8)
    random = np.random.default_rng(0)
    for deviation in (10, 40, 120):
        noise = random.normal(127, deviation, (height, width, 3))
        found[f"noise {deviation}"] = noise.clip(0, 255).astype(np.uint8)
        coarse = np.kron(noise[::20, ::20], np.ones((20, 20, 1)))[:height, :width]
        found[f"squares of noise {deviation}"] = coarse.clip(0, 255).astype(np.uint8)
    return found


@pytest.mark.parametrize("name", list(nothings()))
def test_nothing_is_found_where_nothing_is(server: httpx.Client, name: str) -> None:
    encoded = io.BytesIO()
    Image.fromarray(nothings()[name]).save(encoded, "PNG")
    assert detect(server, encoded.getvalue())["detections"] == []


@pytest.mark.skipif(not DOG_PICTURE.exists(), reason="needs dog.jpg of Debian's package darknet")
def test_the_dog_the_bicycle_and_the_truck(server: httpx.Client) -> None:
    body = detect(server, DOG_PICTURE.read_bytes())
    assert body["image"] == {"width": 768, "height": 576}
    for concept, box, least in ((DOG, DOG_BOX, 0.5), (BICYCLE, BICYCLE_BOX, 0.3), (WHEELED_VEHICLE, TRUCK_BOX, 0.5)):
        found = within(body, concept)
        assert max((overlap(one, box) for one in found), default=0) >= least, concept

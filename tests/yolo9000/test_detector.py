"""The Python interface: the service's answers, every kind of picture, errors, threads."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import ExifTags, Image

from app.main import create_app
from app.settings import Settings
from model.metadata import InvalidModelError
from tests.app import pictures
from tests.app.conftest import client_of
from tests.model_files import tiny_metadata, write_tiny_model
from yolo9000 import Detector, PictureError, UnknownConceptError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def detector(model: Path) -> Detector:
    return Detector(model, provider="cpu", threads=1)


@pytest.fixture
async def client(model: Path) -> Any:
    app = create_app(Settings(model=model, threads=1))
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


@pytest.mark.anyio
@pytest.mark.parametrize("picture", [pictures.red(), pictures.red_and_blue()])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"threshold": 0.0, "hierarchy_threshold": 0.0, "max_detections": 300, "iou_threshold": 1.0},
        {"under": ["n02834778"], "size": 64},
        {"hierarchy_threshold": 1.0},
    ],
)
async def test_the_answers_are_the_services(
    detector: Detector, client: httpx.AsyncClient, picture: bytes, parameters: dict[str, Any]
) -> None:
    answer = (await client.post("/detect", files={"image": picture}, params=parameters)).json()
    found = detector.detect(picture, **parameters)
    times = found.to_dict()["timing_ms"]
    assert times.keys() == answer["timing_ms"].keys()
    assert found.to_dict() | {"timing_ms": 0} == answer | {"timing_ms": 0}


def test_every_kind_of_picture(detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(pictures.red())
    image = Image.open(path)
    expected = detector.detect(path).detections
    assert expected
    for picture in (str(path), path.read_bytes(), image, np.asarray(image.convert("RGB"))):
        assert detector.detect(picture).detections == expected
    assert detector.detect(path).source == path
    assert detector.detect(path.read_bytes()).source is None
    grey = detector.detect(np.zeros((20, 30), np.uint8))
    assert (grey.width, grey.height, len(grey)) == (30, 20, 0)


def test_a_pillow_image_is_held_upright(detector: Detector) -> None:
    image = Image.new("RGB", (40, 20))
    image.getexif()[ExifTags.Base.Orientation] = 6
    found = detector.detect(image)
    assert (found.width, found.height) == (20, 40)


def test_many_pictures_are_looked_at_as_they_are_asked_for(detector: Detector) -> None:
    given = []

    def stream() -> Iterator[bytes]:
        for number in range(3):
            given.append(number)
            yield pictures.red()

    results = detector.detect(stream(), threshold=0.1)
    assert given == []
    assert [found.name for found in next(results)] == ["beagle"]
    assert given == [0]
    assert len(list(results)) == 2


def test_threads_may_share_one(detector: Detector) -> None:
    expected = detector.detect(pictures.red_and_blue()).detections
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(detector.detect, [pictures.red_and_blue()] * 40):
            assert found.detections == expected


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"threshold": 1.5}, "threshold: input should be less than or equal to 1, not 1.5"),
        ({"iou_threshold": float("nan")}, "iou_threshold: input should be a finite number, not nan"),
        ({"max_detections": 0}, "max_detections: input should be greater than or equal to 1, not 0"),
        ({"size": 100}, "size: must be one of 64, 96, 128, not 100"),
    ],
)
def test_parameters_out_of_range_are_told(detector: Detector, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detector.detect(pictures.red(), **parameters)


def test_what_cannot_be_looked_at_is_told(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="not a supported picture type"):
        detector.detect(b"text")
    with pytest.raises(FileNotFoundError):
        detector.detect(tmp_path / "none.jpg")
    with pytest.raises(UnknownConceptError, match="dog"):
        detector.detect(pictures.red(), under="dog")
    for array in (np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="an array must be uint8"):
            detector.detect(array)
    with pytest.raises(InvalidModelError, match="no model file"):
        Detector(tmp_path / "none.onnx")
    small = Detector(write_tiny_model(tmp_path / "a.onnx", tiny_metadata()), provider="cpu", max_pixels=10)
    with pytest.raises(PictureError, match="limit of 10"):
        small.detect(pictures.red())


def test_it_says_what_it_is(detector: Detector) -> None:
    assert (detector.name, detector.providers) == ("tiny", ("CPUExecutionProvider",))
    assert repr(detector) == f"<Detector tiny {detector.version}, CPUExecutionProvider>"


@pytest.mark.slow
def test_neither_torch_nor_a_server_is_imported() -> None:
    code = "import sys, yolo9000; print([name for name in ('torch', 'fastapi', 'uvicorn') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

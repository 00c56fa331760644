"""Answers of two files are compared box by box."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deploy.gpu_check.outputs import Differences, Expected, differences
from deploy.gpu_check.pictures import COUNT, pictures
from deploy.gpu_check.report import CheckError
from model.answers.detections import RawDetections
from model.runtime import OnnxDetector
from tests.model_files import COLOURS, write_tiny_model


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def detector(path: Path) -> OnnxDetector:
    return OnnxDetector.load(path)


def squares() -> list[bytes]:
    """Return pictures with a square of each colour."""
    files = []
    for colour in COLOURS.values():
        picture, file = Image.new("RGB", (96, 96), "grey"), io.BytesIO()
        picture.paste(colour, (20, 30, 60, 70))
        picture.save(file, "PNG")
        files.append(file.getvalue())
    return files


def test_a_file_agrees_with_itself(path: Path, detector: OnnxDetector) -> None:
    found = Expected(path, squares()).compared(detector)
    assert found.figures == {"boxes": 6, "sides": 0, "objectness": 0, "probability": 0, "labels": 1}


def changed(raw: RawDetections, sides: float = 0, objectness: float = 0, logits: float = 0) -> RawDetections:
    moved, less = raw.boxes + np.float32(sides), raw.objectness - np.float32(objectness)
    return RawDetections(moved, less, raw.class_logits * np.float32(1 - logits))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"sides": 8}, r"sides 0\.2,"), ({"objectness": 0.1}, r"objectness 0\.1,"), ({"logits": 1}, "0.0% of the labels")],
)
def test_what_differs_is_found(
    path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, float], said: str
) -> None:
    checked = OnnxDetector.load(path)
    run = checked.run
    monkeypatch.setattr(checked, "run", lambda some, least: [changed(raw, **change) for raw in run(some, least)])
    with pytest.raises(CheckError, match=f"{said}.*allowed: "):
        Expected(path, squares()).compared(checked)


def test_a_lost_box_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = OnnxDetector.load(path)
    run = checked.run
    monkeypatch.setattr(checked, "run", lambda some, _: run(some, 1.0))
    with pytest.raises(CheckError, match="sides inf"):
        Expected(path, squares()).compared(checked)


def test_nothing_is_no_agreement(path: Path, detector: OnnxDetector) -> None:
    grey = io.BytesIO()
    Image.new("RGB", (96, 96), "grey").save(grey, "PNG")
    with pytest.raises(CheckError, match="nothing was compared"):
        Expected(path, [grey.getvalue()]).compared(detector)


def test_a_box_is_compared_with_the_nearest(detector: OnnxDetector) -> None:
    boxes = np.array([[0, 0, 40, 40], [50, 50, 90, 90]], np.float32)
    logits = np.zeros((2, len(detector.trained_tree)), np.float32)
    one = RawDetections(boxes, np.array([0.9, 0.5], np.float32), logits)
    other = RawDetections(boxes[::-1].copy(), np.array([0.5, 0.9], np.float32), logits)
    assert differences(detector, one, other) == Differences(boxes=2)


def test_views_are_the_same_every_time() -> None:
    views = pictures(None)
    assert len(set(views)) == COUNT
    assert views[:3] == pictures(None, 3)


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no picture"):
        pictures(tmp_path)
    for name, data in zip(("b.png", "a.png", "c.txt"), squares(), strict=True):
        (tmp_path / name).write_bytes(data)
    assert pictures(tmp_path) == [squares()[1], squares()[0]]
    assert pictures(tmp_path, 1) == [squares()[1]]

"""What a result can be turned into."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.app import pictures
from tests.model_files import write_tiny_model
from yolo9000 import Box, Detector, Result


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    model = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")
    return Detector(model, provider="cpu", threads=1).detect(pictures.red_and_blue(), threshold=0)


def test_a_result_is_a_sequence(result: Result) -> None:
    assert len(result) == len(result.detections) > 1
    assert list(result) == [result[number] for number in range(len(result))] == list(result[:])
    found = result[0]
    assert found.name == found.path[-1].name
    assert found.score == pytest.approx(found.objectness * found.probability, rel=1e-6)
    assert isinstance(found.box, Box)
    assert found.box.x1 < found.box.x2
    assert str(found).startswith(f"{found.name} {found.score:.2f} (")


def test_json_and_back(result: Result) -> None:
    answer = json.loads(result.to_json())
    assert answer == result.to_dict()
    again = Result.from_dict(answer)
    assert again.detections == result.detections
    assert again.to_dict() == answer
    with pytest.raises(ValueError, match="no picture"):
        again.draw()


def test_the_picture_is_drawn_and_saved(result: Result, tmp_path: Path) -> None:
    drawn = result.draw(tmp_path / "drawn.png")
    assert drawn.size == (result.width, result.height)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "drawn.png")), np.asarray(drawn))
    assert np.array_equal(np.asarray(result.draw()), np.asarray(drawn))  # the picture itself is not drawn into
    plain = Result.from_dict({**result.to_dict(), "detections": []}, picture=lambda: Image.new("RGB", (9, 9))).draw()
    assert plain.getextrema() == ((0, 0),) * 3


def test_a_notebook_shows_picture_and_table(result: Result) -> None:
    shown = result._repr_html_()
    assert shown.startswith('<img alt="')
    assert "data:image/jpeg;base64," in shown
    assert f"<td>{result[0].name}</td>" in shown
    assert Result.from_dict(result.to_dict())._repr_html_().startswith("<table>")


def test_supervision(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in: the real one is 23 packages."""

    @dataclass
    class Detections:
        xyxy: Any
        confidence: Any
        class_id: Any
        data: dict[str, Any]

    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=Detections))
    found = result.to_supervision()
    assert found.xyxy.shape == (len(result), 4)
    assert found.confidence.tolist() == pytest.approx([one.score for one in result])
    assert found.data["wnid"].tolist() == [one.wnid for one in result]
    assert (found.class_id >= 0).all()
    empty = Result.from_dict({**result.to_dict(), "detections": []}).to_supervision()
    assert empty.xyxy.shape == (0, 4)

"""A detector in an ONNX file that says what is in each view."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.training.losses.teacher_files import teacher_file
from training.command_line import ConfigurationError
from training.losses.teacher import LEAST_SCORE, Opinion, Teacher

SIDE = 64
RED, BLUE = 0, 2


def look(path: Path, pictures: torch.Tensor, kinds: int = 80) -> list[Opinion]:
    return Teacher.load(path, kinds).look(pictures)


def pictures_of(side: int = SIDE) -> torch.Tensor:
    """Two pictures: black with a red cell of 8 px in the second row and third column, and black with a blue half."""
    pictures = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    pictures[0, 8:16, 16:24, RED] = 255
    pictures[1, :, side // 2 :, BLUE] = 255
    return pictures


def test_it_finds_objects_the_surest_first(tmp_path: Path) -> None:
    red, _ = look(teacher_file(tmp_path / "teacher.onnx", SIDE), pictures_of())

    # the cell itself, and the larger ones around it, of which it is a quarter and a sixteenth
    assert red.scores[:, RED].tolist() == [1, 1 / 4, 1 / 16]
    assert not red.scores[:, RED + 1 :].any()
    torch.testing.assert_close(red.boxes[0], torch.tensor([2.5, 1.5, 1, 1]) / 8)
    torch.testing.assert_close(red.boxes[2], torch.tensor([0.25, 0.25, 0.5, 0.5]))


class Saying:
    """A session that says the same of every picture."""

    def __init__(self, boxes: list[list[float]], scores: list[list[float]]) -> None:
        self.answer = [np.array([boxes], np.float32), np.array([scores], np.float32)]

    def run(self, *_: object) -> list[NDArray[np.float32]]:
        return self.answer


def told(boxes: list[list[float]], scores: list[list[float]]) -> Opinion:
    """What is learned from a teacher of two kinds who says this of a picture of 100 px."""
    teacher = Teacher(Saying(boxes, scores), Path("saying.onnx"), 2)
    return teacher.look(torch.zeros(1, 100, 100, 3, dtype=torch.uint8))[0]


def test_one_object_is_found_once() -> None:
    found = told([[0, 0, 48, 50], [0, 0, 50, 50], [60, 0, 80, 40]], [[0.5, 0], [0.75, 0.25], [0.625, 0]])
    assert found.scores.tolist() == [[0.75, 0.25], [0.625, 0]]
    torch.testing.assert_close(found.boxes, torch.tensor([[0.25, 0.25, 0.5, 0.5], [0.7, 0.2, 0.2, 0.4]]))


def test_two_kinds_at_one_place_are_two_objects() -> None:
    assert told([[0, 0, 50, 50], [0, 0, 50, 50]], [[0.5, 0.25], [0.25, 0.75]]).scores.tolist() == [
        [0.25, 0.75],
        [0.5, 0.25],
    ]


def test_what_it_doubts_and_boxes_of_no_size_say_nothing() -> None:
    boxes = [[0.0, 0.0, 50.0, 50.0], [10.0, 10.0, 10.0, 30.0], [60.0, 60.0, 50.0, 90.0]]
    assert not len(told(boxes, [[0.9 * LEAST_SCORE, 0], [0.9, 0], [0.9, 0]]).boxes)


def test_boxes_that_are_nowhere_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"saying\.onnx has boxes that are not finite"):
        told([[0, 0, 50, float("nan")]], [[0.5, 0]])


@pytest.mark.parametrize("score", [1.5, -0.1, float("nan")])
def test_scores_that_are_none_are_refused(score: float) -> None:
    with pytest.raises(ConfigurationError, match="scores that are not between 0 and 1"):
        told([[0, 0, 50, 50]], [[0.5, score]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kinds": 20}, r"boxes \[2, 84, 4\] and scores \[2, 84, 20\]; it needs \[B, N, 4\] and \[B, N, 80\]"),
        ({"outputs": ("boxes", "logits")}, r"the outputs \['boxes', 'logits'\]; it needs pictures, uint8, and boxes"),
        ({"side": 128}, r"cannot look at pictures of 64 px .*Got: 64 Expected: 128"),
    ],
)
def test_another_detector_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = teacher_file(tmp_path / "other.onnx", **{"side": SIDE, **changes})
    with pytest.raises(ConfigurationError, match=rf"(?s)^teacher: .*other\.onnx .*{message}"):
        look(path, pictures_of())


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    for name in ("text.onnx", "none.onnx"):
        with pytest.raises(ConfigurationError, match=rf"^teacher: .*{name} cannot be loaded"):
            Teacher.load(tmp_path / name, 80)


def test_a_classifier_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    path = tmp_path / "classifier.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    with pytest.raises(ConfigurationError, match=r"has the inputs \[\('x', 'tensor\(float\)'\)\]"):
        Teacher.load(path, 80)

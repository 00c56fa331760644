"""A detector in an ONNX file that says of each cell what the network that learns should say."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from tests.training.losses.teacher_files import teacher_file
from training.command_line import ConfigurationError
from training.losses.teacher import Opinion, Teacher

SIDE = 64
OWN = (8, 16, 32)
RED, BLUE = 0, 2


def look(path: Path, pictures: torch.Tensor, kinds: int = 80) -> tuple[Opinion, ...]:
    return Teacher.load(path, OWN, kinds, threads=1).look(pictures)


def pictures_of(side: int = SIDE) -> torch.Tensor:
    """Two pictures: black with a red cell of 8 px in the second row and third column, and black with a blue half."""
    pictures = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    pictures[0, 8:16, 16:24, RED] = 255
    pictures[1, :, side // 2 :, BLUE] = 255
    return pictures


def test_each_cell_has_its_own_opinion(tmp_path: Path) -> None:
    found = look(teacher_file(tmp_path / "teacher.onnx", SIDE, strides=OWN), pictures_of())

    assert [tuple(one.scores.shape) for one in found] == [(2, 8, 8, 80), (2, 4, 4, 80), (2, 2, 2, 80)]
    assert found[0].scores[0, :, :, RED].nonzero().tolist() == [[1, 2]]
    assert found[0].scores[0, 1, 2, RED] == 1
    assert found[1].scores[0, 0, 1, RED] == pytest.approx(1 / 4)
    assert found[2].scores[1, :, :, BLUE].tolist() == [[0, 1], [0, 1]]
    # a box is its cell: middle, width and height as parts of the picture
    torch.testing.assert_close(found[0].boxes[0, 1, 2], torch.tensor([2.5, 1.5, 1, 1]) / 8)
    torch.testing.assert_close(found[2].boxes[1, 1, 0], torch.tensor([0.25, 0.75, 0.5, 0.5]))


def test_a_coarser_grid_speaks_where_it_is_surer(tmp_path: Path) -> None:
    found = look(teacher_file(tmp_path / "teacher.onnx", SIDE), pictures_of())

    assert len(found) == len(OWN)
    # blue is half of the whole picture, whose one cell of 64 px is surer than the black cells at its left
    assert found[2].scores[1, :, :, BLUE].tolist() == [[0.5, 1], [0.5, 1]]
    torch.testing.assert_close(found[2].boxes[1, 0, 0], torch.tensor([0.5, 0.5, 1, 1]))
    torch.testing.assert_close(found[2].boxes[1, 0, 1], torch.tensor([0.75, 0.25, 0.5, 0.5]))


def test_two_coarser_grids_are_heard_too(tmp_path: Path) -> None:
    path = teacher_file(tmp_path / "teacher.onnx", 128, strides=(8, 16, 32, 64, 128))
    pictures = torch.zeros(1, 128, 128, 3, dtype=torch.uint8)
    pictures[0, :64, :64, RED] = 255
    found = look(path, pictures)[2].scores[0, :, :, RED]
    assert found.tolist() == [[1, 1, 0.25, 0.25], [1, 1, 0.25, 0.25], [0.25] * 4, [0.25] * 4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strides": (8, 16)}, r"has 80 cells of 64 px; those of grids of strides 8, 16, 32 and, perhaps, twice"),
        ({"kinds": 20}, r"scores \[2, 85, 20\].*scores of 80 kinds"),
        ({"most": 2.0}, "scores that are not between 0 and 1"),
        ({"outputs": ("boxes", "logits")}, r"the outputs \['boxes', 'logits'\]; it needs pictures, uint8, and boxes"),
        ({"side": 128}, r"cannot look at pictures of 64 px .*Got: 64 Expected: 128"),
    ],
)
def test_another_detector_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = teacher_file(tmp_path / "other.onnx", **{"side": SIDE, **changes})
    with pytest.raises(ConfigurationError, match=rf"(?s)^teacher: .*other\.onnx .*{message}"):
        look(path, pictures_of())


def test_boxes_that_are_nowhere_are_refused(tmp_path: Path) -> None:
    path = teacher_file(tmp_path / "nowhere.onnx", SIDE)
    model = onnx.load(path)
    cells = next(one for one in model.graph.initializer if one.name == "cells")
    nowhere = np.frombuffer(cells.raw_data, np.float32).copy()
    nowhere[5] = np.nan
    cells.raw_data = nowhere.tobytes()
    onnx.save(model, path)
    with pytest.raises(ConfigurationError, match="boxes that are not finite"):
        look(path, pictures_of())


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    for name in ("text.onnx", "none.onnx"):
        with pytest.raises(ConfigurationError, match=rf"^teacher: .*{name} cannot be loaded"):
            Teacher.load(tmp_path / name, OWN, 80)


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
        Teacher.load(path, OWN, 80)

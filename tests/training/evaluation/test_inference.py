"""What is kept of every picture."""

from pathlib import Path

import numpy as np
import pytest

from model.runtime import OnnxDetector
from tests.model_files import node, tiny_tree, write_tiny_model
from tests.training.detection_sets import Drawn, write_pictures
from training.data.formats.layouts.coco import read_coco
from training.evaluation.hierarchy import CURVE_THRESHOLDS
from training.evaluation.inference import Found, Rules, find_all

LEFT = (8, 8, 30, 40)


def found(folder: Path, *drawn: Drawn, copies: int = 1, rules: Rules | None = None) -> Found:
    detector = OnnxDetector.load(write_tiny_model(folder / "tiny.onnx", copies=copies), threads=1)
    detection_set = read_coco(*write_pictures(folder, [drawn]), tiny_tree())
    (one,) = find_all(detector, detection_set, rules or Rules())
    return one


def test_lines_answer_for_every_node_of_a_path_with_its_own_probability(tmp_path: Path) -> None:
    one = found(tmp_path, Drawn(LEFT, "red", "beagle"))
    assert one.lines.category.tolist() == [node(name) for name in ("object", "animal", "dog", "beagle")]
    assert one.lines.score[0] == pytest.approx(0.9)
    assert (np.diff(one.lines.score) <= 0).all()
    np.testing.assert_allclose(one.lines.boxes, [[8, 8, 38, 48]] * 4, atol=1)


def test_paths_go_to_the_leaves_and_labels_stop_at_thresholds(tmp_path: Path) -> None:
    matched = found(tmp_path, Drawn(LEFT, "green", "poodle")).matched
    assert matched.nodes.tolist() == [node("poodle")]
    assert matched.paths.tolist() == [[node(name) for name in ("object", "animal", "dog", "beagle")]]
    assert matched.probabilities[0, -1] == pytest.approx(0.5, abs=0.01)
    assert matched.labels.tolist() == [[node("dog")], [node("beagle")]]
    assert matched.curve.shape == (len(CURVE_THRESHOLDS), 1)
    assert (matched.curve[0, 0], matched.curve[-1, 0]) == (node("beagle"), node("object"))


def test_what_is_served_passes_the_model_file_s_thresholds(tmp_path: Path) -> None:
    # Of five boxes around one another, with objectness .9, .7 ... .1, the last is too weak to be served.
    one = found(tmp_path, Drawn((22, 22, 9, 9), "red", None), copies=5, rules=Rules(iou=1))
    assert len(one.anything.score) == 5
    assert (one.served.objectness >= 0.25).all()
    assert len(one.served) < 5


def test_nothing_found(tmp_path: Path) -> None:
    one = found(tmp_path, Drawn(LEFT, None, "dog"))
    assert len(one.served) == len(one.lines.score) == len(one.matched.nodes) == 0
    assert one.matched.paths.shape[0] == 0
    assert one.difficult.tolist() == [False]

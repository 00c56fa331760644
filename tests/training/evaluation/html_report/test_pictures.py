"""Which pictures are best and worst, and how they are drawn."""

import io
from pathlib import Path

from PIL import Image

from model.runtime import OnnxDetector
from tests.model_files import tiny_tree, write_tiny_model
from tests.training.detection_sets import Drawn, write_pictures
from training.data.formats.layouts.coco import read_coco
from training.evaluation.evaluator import evaluate_set
from training.evaluation.html_report.pictures import draw, judge, worst_first
from training.evaluation.inference import Rules
from training.pages.drawing import GREEN, LONGEST_SIDE, ORANGE

LEFT, RIGHT = (8, 8, 30, 40), (50, 30, 40, 50)


def test_pictures_are_judged_by_what_the_service_answers(tmp_path: Path) -> None:
    pictures = [
        [Drawn(LEFT, "red", "beagle")],
        [Drawn(LEFT, "red", "bicycle")],  # wrong
        [Drawn(LEFT, "red", "dog"), Drawn(RIGHT, "blue", "bicycle")],  # right, and two boxes
        [Drawn(LEFT, "red", "beagle"), Drawn(RIGHT, None, "cat")],  # one of two found
        [],
        [Drawn(LEFT, None, "cat"), Drawn(RIGHT, None, "cat")],
    ]
    detector = OnnxDetector.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    detection_set = read_coco(*write_pictures(tmp_path, pictures), tiny_tree())
    found = evaluate_set(detector, detection_set, Rules())[1]
    best = judge(detector.tree, found)
    assert [(one.number, round(one.f1, 2)) for one in best] == [(2, 1), (0, 1), (3, 0.67), (5, 0), (1, 0)]
    worst = worst_first(detector.tree, found)
    assert [one.number for one in worst] == [5, 1, 3, 2, 0]


def test_labels_and_answers_are_drawn_in_their_colours(tmp_path: Path) -> None:
    detector = OnnxDetector.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    drawn = [[Drawn((100, 100, 300, 200), "red", "beagle"), Drawn((500, 300, 200, 150), None, "cat")]]
    detection_set = read_coco(*write_pictures(tmp_path, drawn, size=(960, 480)), tiny_tree())
    found = evaluate_set(detector, detection_set, Rules())[1]
    image = Image.open(io.BytesIO(draw(detector.tree, detection_set.pictures[0], found[0].served)))
    assert image.size == (LONGEST_SIDE, LONGEST_SIDE // 2)
    for colour, place in ((GREEN, (251, 180)), (ORANGE, (50, 90))):
        pixel = image.getpixel(place)
        assert isinstance(pixel, tuple)
        assert all(abs(a - b) < 60 for a, b in zip(pixel, colour, strict=True)), (place, pixel)

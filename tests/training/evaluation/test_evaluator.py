"""A tiny model file on tiny pictures, where the right scores are known."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.runtime import OnnxDetector
from tests.model_files import node, tiny_tree, write_tiny_model
from tests.training.detection_sets import Drawn, write_pictures
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.layouts.coco import read_coco
from training.evaluation.average_precision import Truths
from training.evaluation.evaluator import evaluate_set, expanded
from training.evaluation.hierarchy import CURVE_THRESHOLDS
from training.evaluation.inference import Rules
from training.evaluation.lineage import LineageAccuracy
from training.evaluation.report import SetReport, SharedScores

LEFT = (8, 8, 30, 40)
RIGHT = (50, 30, 40, 50)


def evaluate(
    folder: Path,
    pictures: Sequence[Sequence[Drawn]],
    *,
    size: tuple[int, int] = (96, 96),
    copies: int = 1,
    rules: Rules | None = None,
) -> SetReport:
    detector = OnnxDetector.load(write_tiny_model(folder / "tiny.onnx", copies=copies), threads=1)
    detection_set = read_coco(*write_pictures(folder, pictures, size=size), tiny_tree())
    return evaluate_set(detector, detection_set, rules or Rules())[0]


def test_a_kind_that_is_taken_for_another_is_told(tmp_path: Path) -> None:
    report = evaluate(tmp_path, [[Drawn(LEFT, "red", "cat"), Drawn(RIGHT, "blue", "bicycle")]])
    head, row = report.confusions_table()
    assert head == ("truth", "said", "objects", "probability")
    assert row == ("cat", "beagle", "1", "1.00")


def test_perfect_detections_score_1(tmp_path: Path) -> None:
    report = evaluate(
        tmp_path,
        [
            [Drawn(LEFT, "red", "beagle"), Drawn(RIGHT, "blue", "bicycle")],
            [Drawn(RIGHT, "red", "beagle")],
            [],
        ],
    )
    assert (report.pictures, report.boxes) == (3, 3)
    assert (report.ap50, report.ap, report.recall) == pytest.approx((1, 1, 1))
    assert [(category.name, category.boxes) for category in report.categories] == [
        ("bicycle", 1),
        ("beagle", 2),
    ]
    assert report.matched == 3
    for threshold, lineage in zip((0.5, 0), report.lineage, strict=True):
        assert lineage == LineageAccuracy(hierarchy_threshold=threshold, exact=3, more_specific=0, ancestor=0, wrong=0)


def test_exchanged_labels_score_0(tmp_path: Path) -> None:
    report = evaluate(tmp_path, [[Drawn(LEFT, "red", "bicycle"), Drawn(RIGHT, "blue", "beagle")]])
    assert (report.ap50, report.ap) == (0, 0)
    assert (report.recall, report.matched) == (1, 2)
    assert [lineage.wrong for lineage in report.lineage] == [2, 2]


def test_a_category_is_answered_by_all_that_lies_below_it(tmp_path: Path) -> None:
    # Red is a beagle and green a dog that may be of any kind: both are dogs with a probability near 1.
    report = evaluate(tmp_path, [[Drawn(LEFT, "red", "dog"), Drawn(RIGHT, "green", "dog")]])
    assert (report.ap50, report.ap) == pytest.approx((1, 1))
    at_half, to_leaves = report.lineage
    assert (at_half.exact, at_half.more_specific, at_half.accuracy) == (1, 1, 1)
    assert (to_leaves.exact, to_leaves.more_specific, to_leaves.accuracy) == (0, 2, 1)


def test_an_undecided_answer_is_an_ancestor(tmp_path: Path) -> None:
    report = evaluate(tmp_path, [[Drawn(LEFT, "green", "poodle")]])
    assert report.ap50 == pytest.approx(1)  # nothing else was taken for a poodle
    at_half, to_leaves = report.lineage
    assert (at_half.ancestor, at_half.accuracy) == (1, 0)
    assert to_leaves.wrong == 1  # of two equally likely kinds the walk takes the first, beagle


def test_an_untrained_category_counts_in_the_mean(tmp_path: Path) -> None:
    report = evaluate(tmp_path, [[Drawn(LEFT, "red", "beagle"), Drawn(RIGHT, "blue", "car")]])
    assert [(category.name, category.trained, category.ap50) for category in report.categories] == [
        ("car", False, 0),
        ("beagle", True, pytest.approx(1)),
    ]
    assert (report.ap50, report.ap) == pytest.approx((0.5, 0.5))
    assert report.recall == 1
    assert [lineage.wrong for lineage in report.lineage] == [1, 1]


def test_only_untrained_categories(tmp_path: Path) -> None:
    report = evaluate(tmp_path, [[Drawn(RIGHT, "blue", "car")]])
    assert (report.ap50, report.recall) == (0, 1)


def test_a_miss_and_a_false_alarm(tmp_path: Path) -> None:
    missed, alarm = Drawn(LEFT, None, "beagle"), Drawn(RIGHT, "red", None)
    report = evaluate(tmp_path, [[Drawn(LEFT, "red", "beagle")], [missed], [alarm]])
    # All scores are equal, so the pictures' order counts: a hit, a false alarm; recall ends at 1/2.
    assert report.ap50 == pytest.approx(51 / 101)
    assert report.recall == 0.5
    assert report.matched == 1


def test_boxes_are_compared_in_pixels_of_the_picture(tmp_path: Path) -> None:
    wide = [[Drawn((20, 10, 80, 60), "red", "beagle"), Drawn((130, 30, 50, 60), "blue", "bicycle")]]
    report = evaluate(tmp_path, wide, size=(192, 100), rules=Rules(size=128))
    assert report.ap50 == pytest.approx(1)
    assert (report.recall, report.matched) == (1, 2)
    assert report.ap is not None
    assert report.ap > 0.7  # what is lost is lost by resizing


@pytest.mark.parametrize(("iou", "ap50", "recalled"), [(0.45, 0, 0), (1, 0.5, 1)])
def test_boxes_on_one_thing_are_suppressed(tmp_path: Path, iou: float, ap50: float, recalled: int) -> None:
    # Three boxes around one point, 9, 11 and 13 pixels wide and ever weaker, on a labelled box of 13: the
    # first misses it. Suppressed, only the first is left; else it is a false alarm before a hit.
    drawn, labelled = Drawn((22, 22, 9, 9), "red", None), Drawn((20, 20, 13, 13), None, "dog")
    report = evaluate(tmp_path, [[drawn, labelled]], copies=3, rules=Rules(iou=iou))
    assert report.ap50 == pytest.approx(ap50)
    assert report.recall == recalled
    assert report.matched == 1  # this looks at all boxes


def test_weak_boxes_do_not_count(tmp_path: Path) -> None:
    report = evaluate(tmp_path, [[Drawn(LEFT, "red", "beagle")]], rules=Rules(objectness=0.95))
    assert (report.ap50, report.recall, report.matched) == (0, 0, 0)
    assert [lineage.accuracy for lineage in report.lineage] == [None, None]


def test_a_score_too_low_does_not_count(tmp_path: Path) -> None:
    report = evaluate(tmp_path, [[Drawn(LEFT, "red", "beagle")]], rules=Rules(score=0.9))
    assert (report.ap50, report.recall) == (0, 1)


def test_what_is_found_in_a_crowd_is_ignored(tmp_path: Path) -> None:
    crowd = Drawn((48, 28, 44, 54), None, "beagle", crowd=True)
    report = evaluate(tmp_path, [[crowd, Drawn(RIGHT, "red", None)], [Drawn(LEFT, "red", "beagle")]])
    assert report.ap50 == pytest.approx(1)
    assert (report.recall, report.boxes, report.matched) == (1, 1, 1)


def test_background_alone_has_no_scores(tmp_path: Path) -> None:
    report = evaluate(tmp_path, [[Drawn(LEFT, "red", None)], []])
    assert (report.ap50, report.ap, report.recall, report.categories) == (None, None, None, ())


def test_a_batch_changes_nothing(tmp_path: Path) -> None:
    pictures = [[Drawn(LEFT, "red", "beagle")], [], [Drawn(RIGHT, "blue", "bicycle")]]
    reports = []
    for batch in (1, 2, 5):
        folder = tmp_path / str(batch)
        folder.mkdir()
        reports.append(evaluate(folder, pictures, rules=Rules(batch=batch)))
    assert reports[0] == reports[1] == reports[2]


def test_a_smaller_copy_of_what_was_labelled_is_scored_as_it_lies(tmp_path: Path) -> None:
    detector = OnnxDetector.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    drawn = [Drawn((16, 16, 60, 80), "red", "dog"), Drawn((100, 60, 80, 100), "blue", "cat")]
    annotations, folder = write_pictures(tmp_path, [drawn], size=(192, 192))
    detection_set = read_coco(annotations, folder, tiny_tree())
    with Image.open(folder / "7.png") as image:
        image.resize((96, 96), Image.Resampling.NEAREST).save(folder / "7.png")
    report, found = evaluate_set(detector, detection_set, Rules())
    assert (report.recall, report.matched) == (1, 2)
    assert [(one.truth_name, one.said_name) for one in report.confusions] == [("cat", "bicycle")]
    assert found[0].labelled()[0].max() <= 96


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    detector = OnnxDetector.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    annotations, folder = write_pictures(tmp_path, [[Drawn(LEFT, "red", "beagle")]])
    detection_set = read_coco(annotations, folder, tiny_tree())
    Image.new("RGB", (96, 48)).save(folder / "7.png")
    with pytest.raises(
        InvalidDatasetError, match=r"7\.png is 96x48 pixels, held upright, not 96x96 as its annotations say"
    ):
        evaluate_set(detector, detection_set, Rules())
    (folder / "7.png").write_bytes(b"not a picture")
    with pytest.raises(InvalidDatasetError, match=r"7\.png: not a supported picture type"):
        evaluate_set(detector, detection_set, Rules())
    (folder / "7.png").unlink()
    with pytest.raises(InvalidDatasetError, match=r"No such file .*7\.png"):
        evaluate_set(detector, detection_set, Rules())


def test_perfect_detections_score_1_by_every_rule(tmp_path: Path) -> None:
    pictures = [[Drawn(LEFT, "red", "beagle"), Drawn(RIGHT, "blue", "bicycle")], [Drawn(RIGHT, "red", "beagle")]]
    report = evaluate(tmp_path, pictures)
    assert (report.voc_eleven_points, report.voc_area, report.imagenet) == pytest.approx((1, 1, 1))
    assert report.expanded == SharedScores(categories=6, ap50=1)  # object, animal, vehicle, dog, bicycle, beagle
    assert report.best_objectness is not None
    assert report.best_objectness.threshold == pytest.approx(0.9)
    assert (report.best_objectness.f1, report.best_objectness.precision) == (1, 1)
    assert report.calibration is not None
    assert report.calibration.expected_error == pytest.approx(0, abs=0.01)
    assert [point.accuracy for point in report.specificity] == [1] * len(CURVE_THRESHOLDS)
    assert report.specificity[0].information == pytest.approx(1)
    assert report.specificity[-1].information == pytest.approx(0)  # nothing but the root is certain
    assert [(walked.hierarchy_threshold, len(walked.depths)) for walked in report.depths] == [(0.5, 4), (0, 4)]


def test_a_right_ancestor_counts_where_labels_are_expanded(tmp_path: Path) -> None:
    report = evaluate(tmp_path, [[Drawn(LEFT, "red", "poodle")]])
    assert report.expanded is not None
    # Object, animal and dog are found; the poodle is not.
    assert report.expanded.categories == 4
    assert report.expanded.ap50 == pytest.approx(0.75)


def test_with_and_without_boxes_in_training(tmp_path: Path) -> None:
    pictures = [[Drawn(LEFT, "red", "beagle"), Drawn(RIGHT, "blue", "car")], [Drawn(LEFT, "green", "dog")]]
    detector = OnnxDetector.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    detection_set = read_coco(*write_pictures(tmp_path, pictures), tiny_tree())
    report = evaluate_set(detector, detection_set, Rules(), boxed={node("beagle")})[0]
    assert {one.name: one.had_boxes for one in report.categories} == {"dog": True, "beagle": True, "car": False}
    assert report.with_boxes is not None
    assert report.with_boxes.categories == 2
    assert report.without_boxes == SharedScores(categories=1, ap50=0)
    unknown = evaluate_set(detector, detection_set, Rules())[0]
    assert (unknown.with_boxes, unknown.without_boxes) == (None, None)
    assert all(one.had_boxes is None for one in unknown.categories)


def test_difficult_boxes_count_for_coco_and_not_for_voc(tmp_path: Path) -> None:
    annotations, folder = write_pictures(tmp_path, [[Drawn(LEFT, "red", "beagle"), Drawn(RIGHT, None, "beagle")]])
    content = json.loads(annotations.read_text())
    content["annotations"][1]["difficult"] = 1
    annotations.write_text(json.dumps(content))
    detector = OnnxDetector.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    report = evaluate_set(detector, read_coco(annotations, folder, tiny_tree()), Rules())[0]
    assert report.ap50 == pytest.approx(51 / 101)
    assert report.voc_area == pytest.approx(1)
    assert report.best_objectness is not None
    assert report.best_objectness.recall == 1


def test_expanding_labels_keeps_which_box_each_was() -> None:
    truths = Truths(
        np.array([0, 3]),
        np.array([node("dog"), node("car")]),
        np.array([LEFT, RIGHT], np.float32),
        np.array([False, True]),
    )
    spread, origin = expanded(tiny_tree(), truths)
    assert [tiny_tree().names[one] for one in spread.category] == [
        "object",
        "animal",
        "dog",
        "object",
        "vehicle",
        "car",
    ]
    assert origin.tolist() == [0, 0, 0, 1, 1, 1]
    assert spread.picture.tolist() == [0, 0, 0, 3, 3, 3]
    assert spread.crowd.tolist() == [False, False, False, True, True, True]

"""The proof of tracks' names, on a picture of coloured squares: clips with known truth, and what is said of them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from model.runtime import OnnxDetector
from tests.model_files import node, tiny_tree, write_tiny_model
from tests.training.detection_sets import Drawn, write_pictures
from training.data.formats.layouts.coco import read_coco
from training.evaluation.inference import open_picture
from training.proofs.moving_stills import Names, clip, main, summary, watch

BEAGLE, BICYCLE = (60, 60, 120, 120), (300, 200, 90, 90)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_pictures(tmp_path, [[Drawn(BEAGLE, "red", "beagle"), Drawn(BICYCLE, "blue", "bicycle")]], size=(480, 360))
    return tmp_path


def test_a_clip_wanders_and_its_boxes_with_it(data: Path) -> None:
    (boxed,) = read_coco(data / "annotations/tiny.json", data / "images/tiny", tiny_tree()).pictures
    frames = list(clip(*open_picture(boxed), 30, 0))
    assert len({frame.image.size for frame in frames}) > 5
    places = np.array([frame.boxes[0, :2] for frame in frames])
    assert np.ptp(places, axis=0).min() > 10
    for frame in frames:
        x1, y1, x2, y2 = frame.boxes[0]
        red, _, blue = np.asarray(frame.image, float)[int(y1 + 9) : int(y2 - 9), int(x1 + 9) : int(x2 - 9)].mean((0, 1))
        assert red > blue + 100, "the square is where it is said to be"
    again = list(clip(*open_picture(boxed), 30, 0))
    assert np.array_equal(np.asarray(again[7].image), np.asarray(frames[7].image))


def test_what_leaves_the_picture_is_not_seen(data: Path) -> None:
    (boxed,) = read_coco(data / "annotations/tiny.json", data / "images/tiny", tiny_tree()).pictures
    for frame in clip(*open_picture(boxed), 90, 3):
        sides = frame.boxes[:, 2:] - frame.boxes[:, :2]
        assert (np.maximum(sides, 0).prod(1)[frame.seen] >= 0.69 * 90 * 90).all()


def test_every_object_has_a_name_in_each_frame_in_which_it_is_found(data: Path, tmp_path: Path) -> None:
    detector = OnnxDetector.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    (boxed,) = read_coco(data / "annotations/tiny.json", data / "images/tiny", detector.tree).pictures
    beagle, bicycle = watch(detector, boxed, 12, 128, 0)
    assert (beagle.truth, bicycle.truth) == (node("beagle"), node("bicycle"))
    assert len(beagle.alone) >= len(beagle.tracked) > 6
    assert set(beagle.tracked) == {node("beagle")}


def test_what_is_said_of_names(tmp_path: Path) -> None:
    detector = OnnxDetector.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    dog, beagle, animal, car = (node(name) for name in ("dog", "beagle", "animal", "car"))
    every = [Names(dog, [dog, beagle, animal, car], [dog] * 4), Names(car, [car], [car])]
    assert summary(detector, every, "alone") == (
        "alone    3 changes in 3 steps, 100.00%; of 5 names 60.0% have the truth on their path, 20.0% stop above it, "
        "20.0% are wrong; depth 2.00"
    )
    assert summary(detector, every, "tracked").startswith("tracked  0 changes in 3 steps, 0.00%; of 5 names 100.0%")


def test_the_command(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    options = f"--data={data} --sets=tiny --model={model} --pictures=1 --frames=6 --size=128"
    monkeypatch.setattr(sys, "argv", ["moving_stills", *options.split()])
    main()
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "tiny, 1 clips of 6 frames"
    assert [line.split()[0] for line in rest] == ["alone", "tracked"]

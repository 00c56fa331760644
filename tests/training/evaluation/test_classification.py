"""Pictures of single things, on the tiny model."""

from pathlib import Path

import pytest
from PIL import Image

from model.runtime import OnnxDetector
from tests.model_files import COLOURS, node, tiny_tree, write_tiny_model
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.folder import read_folder
from training.data.pictures.picture import LabelOnlyPicture
from training.evaluation.classification import evaluate_pictures
from training.evaluation.inference import Rules


def picture(folder: Path, colour: str | None, label: str) -> LabelOnlyPicture:
    wnid = tiny_tree().wnids[node(label)]
    (folder / wnid).mkdir(exist_ok=True)
    path = folder / wnid / f"{colour}.png"
    image = Image.new("RGB", (96, 96), "white")
    if colour is not None:
        image.paste(COLOURS[colour], (20, 20, 60, 70))
    image.save(path)
    return LabelOnlyPicture(path, node(label))


def test_the_best_detection_is_asked(tmp_path: Path) -> None:
    detector = OnnxDetector.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    pictures = [
        picture(tmp_path, "red", "beagle"),
        picture(tmp_path, "red", "dog"),
        picture(tmp_path, "blue", "cat"),
        picture(tmp_path, "green", "poodle"),
        picture(tmp_path, None, "cat"),
    ]
    report = evaluate_pictures("some", detector, pictures, Rules(hierarchy=(0.5,)))
    assert (report.name, report.pictures, report.nothing) == ("some", 5, 1)
    (walked,) = report.lineage
    assert (walked.exact, walked.more_specific, walked.ancestor, walked.wrong) == (1, 1, 1, 1)


def test_an_unreadable_picture_is_told(tmp_path: Path) -> None:
    detector = OnnxDetector.load(write_tiny_model(tmp_path / "tiny.onnx"), threads=1)
    broken = picture(tmp_path, "red", "beagle")
    broken.path.write_bytes(b"no picture")
    with pytest.raises(InvalidDatasetError, match=r"red\.png: .*; replace or remove"):
        evaluate_pictures("some", detector, [broken], Rules())


def test_held_out_pictures_are_those_that_training_leaves_out(tmp_path: Path) -> None:
    for colour in (*COLOURS, None):
        picture(tmp_path, colour, "dog")
    kept = read_folder(tmp_path, tiny_tree(), held_out_every=2)
    held = read_folder(tmp_path, tiny_tree(), held_out_every=2, held_out=True)
    assert len(kept) == len(held) == 2
    assert {one.path for one in (*kept, *held)} == {one.path for one in read_folder(tmp_path, tiny_tree())}
    with pytest.raises(InvalidDatasetError, match="or none that is held out"):
        read_folder(tmp_path, tiny_tree(), held_out_every=9, held_out=True)

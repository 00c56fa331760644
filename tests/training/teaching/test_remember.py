"""`remember`: what a model keeps of its training pictures."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.teaching.colour_files import SEEN, colour_file, paint
from training.command_line import ConfigurationError
from training.teaching.file.lesson import read_graph
from training.teaching.memory import Memory, identity_of
from training.teaching.remember import RememberConfiguration, remember
from training.teaching.teach import TeachConfiguration, teach

DOG, CAT, CAR = "n02084071", "n02121620", "n02958343"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return colour_file(tmp_path)


def configuration(model: Path, **fields: object) -> RememberConfiguration:
    given = {"model": model, "output": model.with_name("memory.npz"), "components": SEEN}
    return RememberConfiguration.model_validate(given | fields)


def test_pictures_with_a_label_and_pictures_with_boxes_are_remembered(tmp_path: Path, model: Path) -> None:
    paint(tmp_path / "labels" / DOG, (10, 10, 10), 5)
    paint(tmp_path / "boxed" / "images", (250, 250, 250), 4)
    (tmp_path / "boxed" / "labels").mkdir()
    for number in range(4):  # the box that the model finds in each, and in the last nothing
        (tmp_path / "boxed" / "labels" / f"{number}.txt").write_text("0 0.33 0.33 0.66 0.66\n" if number < 3 else "")
    (tmp_path / "boxed" / "data.yaml").write_text(f"names: [{CAT}]\n")
    sets = (f"{tmp_path / 'boxed' / 'data.yaml'}:{tmp_path / 'boxed' / 'images'}",)
    said = remember(configuration(model, sets=sets, pictures=(tmp_path / "labels",)))
    memory = Memory.read(model.with_name("memory.npz"))
    assert "9 of 9 objects" in said
    assert sorted(memory.wnids) == ["", *[DOG] * 5, *[CAT] * 3]
    assert memory.identity == identity_of(read_graph(model))
    dark = memory.rows[[wnid == DOG for wnid in memory.wnids]]
    bright = memory.rows[[wnid == CAT for wnid in memory.wnids]]
    assert np.linalg.norm(dark.mean(0) - bright.mean(0)) > 3 * dark.std()


def test_some_are_held_out(tmp_path: Path, model: Path) -> None:
    paint(tmp_path / "labels" / DOG, (10, 10, 10), 6)
    assert "4 of 4" in remember(configuration(model, pictures=(tmp_path / "labels",), held_out_every=3))


def test_no_more_pictures_are_looked_at_than_asked_for(tmp_path: Path, model: Path) -> None:
    paint(tmp_path / "labels" / DOG, (10, 10, 10), 9)
    assert "3 of 3" in remember(configuration(model, pictures=(tmp_path / "labels",), most_pictures=4))


def test_what_it_writes_is_what_teach_reads(tmp_path: Path, model: Path) -> None:
    for number in range(6):
        paint(tmp_path / "labels" / DOG, (number * 50,) * 3, 10, seed=number)
    remember(configuration(model, pictures=(tmp_path / "labels",)))
    red = paint(tmp_path / "red", (220, 30, 30), 6)
    given = {"concept": (f"{CAR}={red}",), "model": model, "output": tmp_path / "taught.onnx"}
    (report,) = teach(TeachConfiguration(memory=model.with_name("memory.npz"), **given)).concepts
    assert report.named == 6


def test_without_pictures_there_is_nothing_to_remember(model: Path) -> None:
    with pytest.raises(ConfigurationError, match="pictures that the model learned from"):
        remember(configuration(model))

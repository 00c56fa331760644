"""The proof of `teach`, on pictures of colours: what is taught, what is judged, and what is said of it."""

import argparse
import json
from pathlib import Path

import pytest

from model.runtime import OnnxDetector
from tests.training.teaching.colour_files import colour_file, colour_memory, paint
from training.proofs import taught_concepts
from training.proofs.taught_concepts import (
    parts,
    prove_animals,
    prove_concepts,
    unknown_concepts,
    with_something_found,
)

CAR, DOG, BEAGLE = "n02958343", "n02084071", "n02088364"
PICTURES = 12


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """Of a set with a label alone, of cars and dogs, and of a set with boxes that shows beagles."""
    for name, value in {
        "SETS": ("colours",),
        "ELSEWHERE": (),
        "BOXED": (),
        "ANIMALS": {"blue": BEAGLE},
        "ANIMAL_SIZES": (64,),
    }.items():
        monkeypatch.setattr(taught_concepts, name, value)
    data = tmp_path / "data"
    paint(data / "classification/colours" / CAR, (220, 30, 30), PICTURES)
    paint(data / "classification/colours" / DOG, (30, 200, 30), PICTURES)
    paint(data / "detection/images/blue", (30, 30, 220), PICTURES)
    box = {"category_id": 1, "bbox": [0, 0, 27, 27]}  # the file finds 64 of its 96 px
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 40, "height": 40} for n in range(PICTURES)],
        "annotations": [{"id": n, "image_id": n, **box} for n in range(PICTURES)],
        "categories": [{"id": 1, "name": "beagle", "wnid": BEAGLE}],
    }
    (data / "detection/annotations").mkdir()
    (data / "detection/annotations/blue.json").write_text(json.dumps(content))
    return argparse.Namespace(
        data=data,
        output=tmp_path / "out",
        model=colour_file(tmp_path),
        memory=colour_memory(tmp_path),
        pictures=6,
        seed=0,
    )


def test_what_is_taught_is_not_judged() -> None:
    files = [Path(f"{number}.jpg") for number in range(20)]
    taught, rest = parts(files, 10, 0)
    assert len(taught) == 10
    assert sorted([*taught, *rest]) == sorted(files)
    assert parts(files, 4, 0)[0] == taught[:4], "more pictures are further ones"
    assert len(parts(files, 30, 0)[1]) == taught_concepts.LEAST_REST


def test_pictures_in_which_nothing_is_found_are_exchanged_while_too_few_are_left(
    options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = OnnxDetector.load(options.model)
    a, b, c, d, e, f, g = (Path(name) for name in "abcdefg")
    monkeypatch.setattr(taught_concepts, "_found", lambda _, file: "box" * (file not in {a, b, e}))
    taught, rest = with_something_found(detector, ([a, b, c, d], [e, f, g]))
    assert set(taught) == {c, d, f, g}
    assert rest == [a, b, e]
    assert with_something_found(detector, ([a, c, d, f, g], [b])) == ([c, d, f, g, a], [b]), "four are enough"
    assert with_something_found(detector, ([a, c, d], [b])) == ([c, d, a], [b]), "there are no others"


def test_concepts_that_the_model_has_pictures_of_are_left_out(
    options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = OnnxDetector.load(options.model)
    assert set(unknown_concepts(options.data, detector)) == {CAR}, "ImageNet has dogs"
    monkeypatch.setattr(taught_concepts, "imagenet_wnids", list)
    assert set(unknown_concepts(options.data, detector)) == {CAR, DOG}


def test_a_concept_is_taught_and_the_rest_of_its_pictures_judged(
    options: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    prove_concepts(options)
    said = capsys.readouterr().out
    assert "car: named when left out: 6 of 6" in said
    assert "all 1: 6 of 6, 1.000; mean 1.000" in said


def test_what_the_model_knows_is_forgotten_before_it_is_taught(
    options: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    prove_animals(options)
    said = capsys.readouterr().out
    assert "forgotten: beagle" in said
    assert "blue: 6 of 6 boxes found" in said

"""Tiny sets that are odd in one way each, as people have them: what is done about it is beside them."""

import shlex
from pathlib import Path

import pytest

from training.__main__ import main

SETS = Path(__file__).parents[1] / "data/odd_sets"
FOUND = Path(__file__).parents[3].parent / "shared/found"
PROMPT = "$ python -m training look "


@pytest.mark.parametrize("folder", sorted(SETS.iterdir()), ids=lambda folder: folder.name)
def test_what_is_done_about_it_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    command, _, expected = (folder / "expected.txt").read_text().partition("\n")
    status = main(["look", *shlex.split(command.removeprefix(PROMPT))])
    assert capsys.readouterr().out == expected
    assert status == (2 if "training would refuse it" in expected else 0)


@pytest.mark.skipif(not FOUND.is_dir(), reason="no shared/found")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("bom-names/classes.txt:bom-names/images", "    1  dog = n02084071 (dog), in 1 picture\n"),
        (
            "coco-boxes-dropped/negative-width.json:coco-boxes-dropped/img",
            "none of the 1 boxes can be used: annotations[0] (negative width;",
        ),
        ("coco-boxes-dropped/normalised.json:coco-boxes-dropped/img", "Are they fractions of the picture?"),
        (
            "truncated-picture-mid-run/classes.txt:truncated-picture-mid-run/images",
            "5.jpg (the JPEG is damaged or cut short)",
        ),
        ("yolo-pictures-ignored/classes.txt:yolo-pictures-ignored/images", "  6 pictures, all of 160 x 120 px\n"),
        ("yolo-pictures-ignored/folder", "  3 pictures, all of 160 x 120 px\n"),
        ("yolo-pose-as-polygon/xy/data.yaml:yolo-pose-as-polygon/xy/images", "  1 box, 1.0 a picture"),
    ],
)
def test_what_others_found_is_told(
    arguments: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(FOUND)
    status = main(["look", arguments])
    said = capsys.readouterr().out
    assert told in said
    assert status == (2 if "training would refuse it" in said else 0)

"""The `look` command: its text, its files, and its exit status."""

import json
from pathlib import Path

import pytest

from tests.training.looking.test_sets import coco, paint, yolo
from training.__main__ import main

RACCOON = "an omnivorous nocturnal mammal native to North America and Central America"


@pytest.fixture
def good(tmp_path: Path) -> str:
    """Write two folders of ten pictures, all different."""
    for number in range(10):
        paint(tmp_path / f"good/raccoon/{number}.png", f"rgb({number}, 0, 0)")
        paint(tmp_path / f"good/n02121620/{number}.png", f"rgb(0, {number + 1}, 0)")
    return str(tmp_path / "good")


def test_a_good_set(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look", good]) == 0
    assert capsys.readouterr().out.splitlines() == [
        good,
        "  20 pictures, all of 100 x 60 px",
        "  2 classes, the most frequent first:",
        "    10  cat = n02121620 (cat)",
        "    10  raccoon = n02508021 (raccoon)",
        "  training would go on, but tell:",
        f"    - took 1 classes for the concepts of their names: raccoon is n02508021 (raccoon: {RACCOON})",
        "",
        "Training would take it.",
    ]
    assert main(["look", good, "--strict"]) == 2


def test_a_set_that_training_would_refuse(tmp_path: Path, good: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad").mkdir()
    given = coco(tmp_path / "bad")
    assert main(["look", good, given]) == 2
    said = capsys.readouterr().out
    assert "  3 boxes, 0.8 a picture and 1 at most; 1 picture without one\n" in said
    assert "  by size (COCO's: below 32 x 32 px, from 96 x 96 px on): small 0%, medium 100%, large 0%\n" in said
    assert "    1  gizmoxyz = not clear, in 1 picture\n" in said
    assert "    - 3 classes have fewer than 10: gizmoxyz (1), horse (1), raccoon (1)\n" in said
    assert f"3 pictures are there twice: {tmp_path}/bad/1.png is {tmp_path}/bad/0.png, " in said
    assert said.endswith(f"Training would refuse 1 of 2 sets: {given}.\n")


def test_the_files(tmp_path: Path, good: str) -> None:
    (tmp_path / "bad").mkdir()
    output, page, label_map = (tmp_path / "out" / name for name in ("look.json", "look.html", "map.txt"))
    assert (
        main(
            [
                "look",
                good,
                yolo(tmp_path / "bad"),
                f"--output={output}",
                f"--html={page}",
                f"--label-map-out={label_map}",
            ]
        )
        == 2
    )
    first, second = json.loads(output.read_text())["sets"]
    assert [one["boxes"] for one in first["classes"]] == [10, 10]
    assert second["boxes"] == {"count": 3, "crowds": 0, "difficult": 0, "most": 1, "small": 0, "medium": 3, "large": 0}
    text = page.read_text()
    assert text.count("<img ") == 20 + 4
    assert text.count("<svg") == 4
    assert "0.txt, line 2: &#x27;rubbish&#x27;" in text
    lines = label_map.read_text().splitlines()[1:]
    assert [line.partition("    ")[0] for line in lines] == [
        "n02508021 raccoon",
        "# horse may be any of these; take the first # away from the right line:",
        "# n03538037 horse",
        "# n02374451 horse",
        "# gizmoxyz is the name of no concept; `yolo9000 classes` searches. Put its id in and take the # away:",
        "# WNID gizmoxyz",
    ]


def test_a_corrected_label_map_is_one_that_training_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paint(tmp_path / "set/horse/1.png")
    paint(tmp_path / "set/gizmoxyz/1.png")
    label_map = tmp_path / "map.txt"
    assert main(["look", str(tmp_path / "set"), f"--label-map-out={label_map}"]) == 2
    corrected = label_map.read_text().replace("# n02374451", "n02374451").replace("# WNID", "n03183080")
    label_map.write_text(corrected)
    assert main(["look", str(tmp_path / "set"), f"--label-map={label_map}"]) == 0
    assert "    1  gizmoxyz = n03183080 (device)\n" in capsys.readouterr().out


def test_a_picture_damaged_in_its_middle_is_shown_as_such(tmp_path: Path, good: str) -> None:
    path = Path(good) / "raccoon/0.png"
    content = bytearray(path.read_bytes())
    content[50:60] = bytes(10)
    path.write_bytes(content)
    assert main(["look", good, f"--html={tmp_path}/look.html"]) == 0
    assert "0.png: the PNG is damaged" in (tmp_path / "look.html").read_text()


def test_a_tree_of_ones_own(tmp_path: Path, good: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tree.tsv").write_text("nothing\n")
    assert main(["look", good, f"--tree={tmp_path}/tree.tsv"]) == 2
    assert "holds no WordTree" in capsys.readouterr().err


def test_no_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look"]) == 2
    assert "are required: SETS; see" in capsys.readouterr().err

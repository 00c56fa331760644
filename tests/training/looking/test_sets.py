"""Sets are read on where training would refuse them, and everything that is wrong is kept."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from shutil import make_archive

import pytest
from PIL import Image

from model.tree_files import packaged_tree
from training.data.pictures.picture import BoxedPicture
from training.looking.sets import SetRead, read_sets

WIDTH, HEIGHT = 100, 60


def paint(path: Path, colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), colour).save(path)


def yolo(root: Path) -> str:
    """Write a set with a line that is none, a class that is not there, two that are not clear, and no picture."""
    for number in range(4):
        paint(root / f"images/{number}.png")
    (root / "images/4.png").write_bytes(b"none")
    (root / "labels").mkdir()
    for number, lines in enumerate(
        ("0 .5 .5 .5 .5\nrubbish\n", "9 .5 .5 .5 .5\n", "1 .5 .5 .5 .5\n", "2 .5 .5 .5 .5\n")
    ):
        (root / f"labels/{number}.txt").write_text(lines)
    (root / "data.yaml").write_text("train: images\nnames: [raccoon, horse, gizmoxyz]\n")
    return f"{root}/data.yaml"


def coco(root: Path) -> str:
    """Write a set with the same faults, and a picture that is missing."""
    for number in range(4):
        paint(root / f"{number}.png")
    (root / "4.png").write_bytes(b"none")
    content = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(6)],
        "annotations": [
            {"image_id": image, "category_id": category, "bbox": [25, 15, 50, 30]}
            for image, category in ((0, 0), (1, 9), (2, 1), (3, 2), (8, 0))
        ],
        "categories": [
            {"id": 0, "name": "raccoon", "wnid": "n02508021"},
            {"id": 1, "name": "horse"},
            {"id": 2, "name": "gizmoxyz", "wnid": "n99999999"},
        ],
    }
    (root / "set.json").write_text(json.dumps(content))
    return f"{root}/set.json:{root}"


def voc(root: Path) -> str:
    """Write a set with the same faults, a picture that is missing, and an XML file that is none."""
    for number in range(4):
        paint(root / f"{number}.png")
    (root / "4.png").write_bytes(b"none")
    box = "<bndbox><xmin>26</xmin><ymin>16</ymin><xmax>75</xmax><ymax>45</ymax></bndbox>"
    for number, name in enumerate(("raccoon", "", "horse", "gizmoxyz", "raccoon", "raccoon")):
        (root / f"{number}.xml").write_text(f"<annotation><object><name>{name}</name>{box}</object></annotation>")
    (root / "6.xml").write_text("<annotation>")
    return f"{root}:{root}"


def read(given: str, root: Path, label_map: Path | None = None) -> SetRead:
    (found,) = read_sets(given, root, packaged_tree(), label_map)
    return found


@pytest.mark.parametrize(
    ("layout", "reasons"),
    [
        (yolo, ["0.txt, line 2: 'rubbish'", "1.txt, line 1: there is no class 9", "horse", "1 of 5 pictures cannot"]),
        (
            coco,
            [
                "horse",
                "the wnid of category 2 (gizmoxyz, n99999999)",
                "1 of its 6 pictures are not in",
                "annotations[1] refers to the category 9",
                "annotations[4] refers to the picture 8",
                "1 of 5 pictures cannot",
            ],
        ),
        (
            voc,
            [
                "1.xml: object 1: there is no <name>",
                "5.xml: its picture",
                "6.xml: is not XML",
                "1 of 5 pictures",
                "horse",
            ],
        ),
    ],
)
def test_what_can_be_read_is_and_the_rest_is_told(
    tmp_path: Path, layout: Callable[[Path], str], reasons: list[str]
) -> None:
    found = read(layout(tmp_path), tmp_path)
    assert [picture.path.name for picture in found.pictures] == ["0.png", "1.png", "2.png", "3.png"]
    named = {category.node: category.name for category in found.categories}
    boxes = [
        [named[node] for node in picture.nodes.tolist()]
        for picture in found.pictures
        if isinstance(picture, BoxedPicture)
    ]
    assert boxes == [["raccoon"], [], ["horse"], ["gizmoxyz"]]
    assert [category.node >= 0 for category in found.categories if category.name != "raccoon"] == [False, False]
    assert len(found.refused) == len(reasons)
    for message, reason in zip(found.refused, reasons, strict=True):
        assert reason in message


def test_classes_of_folders_are_read_too(tmp_path: Path) -> None:
    for name in ("raccoon", "horse", "gizmoxyz"):
        paint(tmp_path / name / "1.png")
    (tmp_path / "raccoon/2.png").write_bytes(b"none")
    found = read(str(tmp_path), tmp_path)
    assert sorted(category.name for category in found.categories if category.node < 0) == ["gizmoxyz", "horse"]
    assert len(found.pictures) == len(found.sizes) == 3
    assert [reason[:20] for reason in found.refused] == ["2 of 3 class names a", "1 of 4 pictures cann"]
    assert found.told[0].startswith("took 1 classes for the concepts of their names: raccoon is n02508021")


def test_a_label_map_makes_classes_clear(tmp_path: Path) -> None:
    paint(tmp_path / "pets/horse/1.png")
    (tmp_path / "map.txt").write_text("n02374451 horse\n")
    found = read(str(tmp_path / "pets"), tmp_path, tmp_path / "map.txt")
    assert found.refused == found.told == ()
    assert [category.wnid for category in found.categories] == ["n02374451"]


def test_both_splits_of_a_data_yaml_are_read(tmp_path: Path) -> None:
    paint(tmp_path / "a/images/1.png")
    (tmp_path / "a/labels").mkdir()
    (tmp_path / "a/labels/1.txt").write_text("0 .5 .5 .5 .5\n")
    (tmp_path / "data.yaml").write_text("train: a/images\nval: b/images\nnames: [raccoon]\n")
    train, val = read_sets(str(tmp_path / "data.yaml"), tmp_path, packaged_tree(), None)
    assert (train.name, train.refused, len(train.pictures)) == (f"{tmp_path}/data.yaml, train", (), 1)
    assert val.pictures == ()
    assert "b/images is not in" in val.refused[0]


def test_both_parts_of_an_export_are_read_from_its_zip_file(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        (tmp_path / "set" / part).mkdir(parents=True)
        coco(tmp_path / "set" / part)
        (tmp_path / "set" / part / "set.json").rename(tmp_path / "set" / part / "_annotations.coco.json")
    make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    train, val = read_sets(str(tmp_path / "set.zip"), tmp_path, packaged_tree(), None)
    assert (train.name, val.name) == (f"{tmp_path}/set.zip, train", f"{tmp_path}/set.zip, val")
    assert len(train.pictures) == len(val.pictures) == 4


def test_an_export_that_is_not_split_is_read_once(tmp_path: Path) -> None:
    found = read(voc(tmp_path).partition(":")[0], tmp_path)
    assert found.name == str(tmp_path)
    assert len(found.pictures) == 4


def test_folders_of_classes_may_be_a_zip_file(tmp_path: Path) -> None:
    paint(tmp_path / "set/raccoon/1.png")
    paint(tmp_path / "set/n02121620/1.png")
    make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    assert len(read(str(tmp_path / "set.zip"), tmp_path).pictures) == 2


@pytest.mark.parametrize("given", ["none.zip", "none.yaml", "none.json:here", "nobody"])
def test_a_set_that_cannot_be_read_is_told(tmp_path: Path, given: str) -> None:
    found = read(given, tmp_path)
    assert found.pictures == ()
    assert len(found.refused) == 1


def test_a_data_yaml_without_a_split_is_told(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: [raccoon]\n")
    assert "names neither `train` nor `val`" in read(str(tmp_path / "data.yaml"), tmp_path).refused[0]


def test_readers_log_again_afterwards(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paint(tmp_path / "raccoon/1.png")
    read(str(tmp_path), tmp_path)
    assert caplog.text == ""
    logging.getLogger("training.data.formats.folder").warning("later")
    assert "later" in caplog.text

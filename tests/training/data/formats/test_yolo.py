"""YOLO's layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.model_files import node, tiny_tree
from training.data.formats.coco import InvalidDatasetError
from training.data.formats.yolo import class_names, read_yolo

LABEL_MAP = {"dog": "n02084071", "bike": "n02834778"}


def write(root: Path, text: str | None, *, name: str = "a", orientation: int = 1) -> tuple[Path, Path]:
    """Write a picture of 40 x 20 stored pixels and its boxes; return the class names and the pictures' folder."""
    pictures, labels = root / "images" / "train", root / "labels" / "train"
    for folder in (pictures, labels):
        folder.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 20)).save(pictures / f"{name}.jpg", exif=exif)
    if text is not None:
        (labels / f"{name}.txt").write_text(text)
    (root / "classes.txt").write_text("dog\nbike\n\n")
    return root / "classes.txt", pictures


def test_boxes_polygons_and_backgrounds(tmp_path: Path) -> None:
    write(tmp_path, None, name="background")
    names, pictures = write(tmp_path, "1 0.5 0.5 0.5 0.5\n\n0 0.1 0.2 0.3 0.2 0.2 0.8\n")
    found = read_yolo(names, pictures, tiny_tree(), LABEL_MAP)
    first, second = found.pictures
    np.testing.assert_allclose(first.boxes, [[10, 5, 30, 15], [4, 4, 12, 16]], rtol=1e-6)
    assert first.nodes.tolist() == [node("bicycle"), node("dog")]
    assert (second.path.stem, len(second.boxes)) == ("background", 0)
    assert [category.name for category in found.categories] == ["dog", "bike"]
    assert first.difficult is None


def test_a_picture_that_lies_on_its_side_is_held_upright(tmp_path: Path) -> None:
    names, pictures = write(tmp_path, "0 0.5 0.5 1 1", orientation=6)
    (picture,) = read_yolo(names, pictures, tiny_tree(), LABEL_MAP).pictures
    assert (picture.width, picture.height) == (20, 40)
    np.testing.assert_array_equal(picture.boxes, [[0, 0, 20, 40]])


def test_boxes_may_lie_beside_the_pictures(tmp_path: Path) -> None:
    names, pictures = write(tmp_path, None)
    (pictures / "a.txt").write_text("0 0.5 0.5 1 1")
    assert read_yolo(names, pictures, tiny_tree(), LABEL_MAP).box_count == 1
    elsewhere = pictures.rename(tmp_path / "photos")
    assert read_yolo(names, elsewhere, tiny_tree(), LABEL_MAP).box_count == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 1 1", "there is no class 2; the classes are 0 to 1"),
        ("-1 0.5 0.5 1 1", "there is no class -1"),
        ("dog 0.5 0.5 1 1", "is not `class x y width height`"),
        ("0 0.5 0.5 1", "has 3 coordinates; a box has 4"),
        ("0 0.5 0.5 1 1 0.9", "has 5 coordinates"),
        ("0 120 80 40 40", "far outside 0 to 1; give fractions"),
        ("0 nan 0.5 1 1", "far outside 0 to 1"),
    ],
)
def test_a_wrong_line_is_told(tmp_path: Path, line: str, message: str) -> None:
    names, pictures = write(tmp_path, f"0 0.5 0.5 1 1\n{line}\n")
    with pytest.raises(InvalidDatasetError, match=rf"a\.txt, line 2: .*{message}"):
        read_yolo(names, pictures, tiny_tree(), LABEL_MAP)


def test_what_is_not_there_or_no_picture_is_told(tmp_path: Path) -> None:
    names, pictures = write(tmp_path, None)
    with pytest.raises(InvalidDatasetError, match=r"none of its 1 pictures has a text file .*labels/train/a\.txt"):
        read_yolo(names, pictures, tiny_tree(), LABEL_MAP)
    with pytest.raises(InvalidDatasetError, match="has no node for dog, bike"):
        read_yolo(names, pictures, tiny_tree())
    with pytest.raises(InvalidDatasetError, match="holds no pictures"):
        read_yolo(names, tmp_path / "labels", tiny_tree(), LABEL_MAP)
    write(tmp_path, "0 0.5 0.5 1 1")
    (tmp_path / "labels" / "train" / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidDatasetError, match=r"a\.txt: the boxes cannot be read"):
        read_yolo(names, pictures, tiny_tree(), LABEL_MAP)
    write(tmp_path, "0 0.5 0.5 1 1")
    (pictures / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(InvalidDatasetError, match=r"a\.jpg: this picture cannot be read"):
        read_yolo(names, pictures, tiny_tree(), LABEL_MAP)


@pytest.mark.parametrize("text", ["names: [dog, bike]\n", "nc: 2\nnames:\n  0: dog\n  1: bike\n"])
def test_names_in_yaml(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    assert class_names(tmp_path / "data.yaml") == ("dog", "bike")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("data.yaml", "names: {0: dog, 2: bike}", "`names` is no list"),
        ("data.yaml", "nc: 2", "`names` is no list"),
        ("data.yaml", "[a", "the class names cannot be read"),
        ("data.yaml", "dog", "`names` is no list"),
        ("classes.txt", "\n\n", "names no class"),
        ("classes.txt", "dog\n\nbike", "a class has no name"),
    ],
)
def test_wrong_names_are_told(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidDatasetError, match=message):
        class_names(tmp_path / name)

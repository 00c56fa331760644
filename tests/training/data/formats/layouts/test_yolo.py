"""YOLO's layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.pictures.decoding import decode_picture
from model.pictures.suffixes import PICTURE_SUFFIXES
from tests.model_files import node, tiny_tree
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.layouts.data_yaml import read_classes
from training.data.formats.layouts.yolo import read_yolo

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
        ("0 0.5 0.5 1 1 1.2", "has 5 coordinates"),
        ("0.5 0.5 0.5 1 1", "is not `class x y width height`"),
        ("nan 0.5 0.5 1 1", "is not `class x y width height`"),
        ("inf 0.5 0.5 1 1", "is not `class x y width height`"),
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
    with pytest.raises(InvalidDatasetError, match="holds no pictures"):
        read_yolo(names, tmp_path / "labels", tiny_tree(), LABEL_MAP)
    write(tmp_path, "0 0.5 0.5 1 1\n1 0.5 0.5 1 1")
    with pytest.raises(
        InvalidDatasetError, match="1 of 2 class names are no one concept of the tree: 'bike' is the name of none"
    ):
        read_yolo(names, pictures, tiny_tree())
    (tmp_path / "labels" / "train" / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidDatasetError, match=r"a\.txt: the boxes cannot be read"):
        read_yolo(names, pictures, tiny_tree(), LABEL_MAP)
    write(tmp_path, "0 0.5 0.5 1 1")
    (pictures / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(
        InvalidDatasetError, match=r"1 of 1 pictures cannot be used: .*a\.jpg \(not a supported picture"
    ):
        read_yolo(names, pictures, tiny_tree(), LABEL_MAP)


@pytest.mark.parametrize("text", ["names: [dog, bike]\n", "nc: 2\nnames:\n  0: dog\n  1: bike\n"])
def test_names_in_yaml(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    assert read_classes(tmp_path / "data.yaml") == (("dog", "bike"), None)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("data.yaml", "names: {0: dog, 2: bike}", "`names` is no list"),
        ("data.yaml", "nc: 2", "`names` is no list"),
        ("data.yaml", "[a", "data.yaml: is no YAML"),
        ("data.yaml", "dog", "`names` is no list"),
        ("data.yaml", "names: [dog]\nkpt_shape: 17", "`kpt_shape` is 17; write"),
        ("data.yaml", "names: [dog]\nkpt_shape: [17, 4]", r"`kpt_shape` is \[17, 4\]; write"),
        ("classes.txt", "\n\n", "names no class"),
        ("classes.txt", "dog\n\nbike", "a class has no name"),
    ],
)
def test_wrong_names_are_told(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidDatasetError, match=message):
        read_classes(tmp_path / name)


@pytest.mark.parametrize(("each", "line"), [(2, "0 .5 .5 .2 .2 .45 .45 .55 .55"), (3, "0 .5 .5 .2 .2 .4 .4 2 0 0 0")])
def test_keypoints_are_left_aside(tmp_path: Path, each: int, line: str) -> None:
    _, pictures = write(tmp_path, f"{line}\n1 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").write_text(f"names: [dog, bike]\nkpt_shape: [2, {each}]\n")
    (picture,) = read_yolo(tmp_path / "data.yaml", pictures, tiny_tree(), LABEL_MAP).pictures
    np.testing.assert_allclose(picture.boxes, [[16, 8, 24, 12], [0, 0, 40, 20]], rtol=1e-6)


def test_keypoints_of_another_number_are_told(tmp_path: Path) -> None:
    _, pictures = write(tmp_path, "0 .5 .5 .2 .2 .45 .45")
    (tmp_path / "data.yaml").write_text("names: [dog]\nkpt_shape: [2, 2]\n")
    with pytest.raises(InvalidDatasetError, match=r"line 1: has 6 numbers after the class; a box has 4 .* says, 4"):
        read_yolo(tmp_path / "data.yaml", pictures, tiny_tree(), LABEL_MAP)


@pytest.mark.parametrize("suffix", [one for one in PICTURE_SUFFIXES if one not in {".heic", ".heif"}])
def test_every_kind_of_picture_is_read(tmp_path: Path, suffix: str) -> None:
    names, pictures = write(tmp_path, "0 0.5 0.5 1 1")
    form = Image.registered_extensions()[suffix]
    Image.new("RGB", (30, 20)).save(pictures / f"b{suffix.upper()}", form)
    (tmp_path / "labels" / "train" / "b.txt").write_text("0 0.5 0.5 1 1")
    found = read_yolo(names, pictures, tiny_tree(), LABEL_MAP)
    assert [picture.boxes.tolist() for picture in found.pictures] == [[[0, 0, 40, 20]], [[0, 0, 30, 20]]]


@pytest.mark.parametrize(("suffix", "form"), [(".tif", "TIFF"), (".jpg", "JPEG"), (".avif", "AVIF"), (".webp", "WEBP")])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_is_that_of_the_picture_held_upright(tmp_path: Path, suffix: str, form: str, orientation: int) -> None:
    names, pictures = write(tmp_path, "0 0.5 0.5 1 1")
    (pictures / "a.jpg").unlink()
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = pictures / f"a{suffix}"
    Image.new("RGB", (40, 20)).save(path, form, exif=exif)
    (picture,) = read_yolo(names, pictures, tiny_tree(), LABEL_MAP).pictures
    assert (picture.width, picture.height) == decode_picture(path.read_bytes()).size


def test_what_is_passed_over_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names, pictures = write(tmp_path, "0 0.5 0.5 1 1")
    for name in ("b.raw", "c.raw", "d.mp4", ".DS_Store", "train.cache"):
        (pictures / name).touch()
    (tmp_path / "labels" / "train" / "b.txt").touch()
    read_yolo(names, pictures, tiny_tree(), LABEL_MAP)
    first, second = (record.getMessage() for record in caplog.records)
    assert first.endswith("images/train: skipped 3 files without a picture's suffix: 1 .mp4, 2 .raw")
    assert "images/train: 1 text files of boxes have no picture: b.txt in " in second


def test_classes_without_boxes_need_no_concept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names, pictures = write(tmp_path, "0 0.5 0.5 1 1")
    with caplog.at_level("INFO"):
        found = read_yolo(names, pictures, tiny_tree(), {"dog": "n02084071"})
    assert [category.name for category in found.categories] == ["dog"]
    assert "left out the classes bike" in caplog.text


def test_a_negative_side_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names, pictures = write(tmp_path, "\n0 0.5 0.5 1 1\n0 0.5 0.5 -0.5 0.5\n")
    assert read_yolo(names, pictures, tiny_tree(), LABEL_MAP).dropped == 1
    assert "dropped 1 of 2 boxes: a.txt, line 3 (negative width; x 30 to 10, y 5 to 15, a.jpg" in caplog.text
    write(tmp_path, "0 0.5 0.5 -0.5 0.5\n")
    with pytest.raises(InvalidDatasetError, match=r"none of the 1 boxes can be used: a\.txt, line 1"):
        read_yolo(names, pictures, tiny_tree(), LABEL_MAP)


@pytest.mark.parametrize(
    "line", ["1\t0.5\t0.5\t0.5\t0.5", "1 0.5 0.5 0.5 0.5 \t ", "1.0 0.5 0.5 0.5 0.5", "\ufeff1 .5 .5 .5 .5\r"]
)
def test_lines_as_other_programs_write_them(tmp_path: Path, line: str) -> None:
    names, pictures = write(tmp_path, f"{line}\n")
    (picture,) = read_yolo(names, pictures, tiny_tree(), LABEL_MAP).pictures
    np.testing.assert_allclose(picture.boxes, [[10, 5, 30, 15]])
    assert picture.nodes.tolist() == [node("bicycle")]


def test_a_confidence_is_left_aside_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names, pictures = write(tmp_path, "0 0.5 0.5 0.5 0.5 0.87\n0 0.5 0.5 1 1\n")
    found = read_yolo(names, pictures, tiny_tree(), LABEL_MAP)
    np.testing.assert_allclose(found.pictures[0].boxes, [[10, 5, 30, 15], [0, 0, 40, 20]])
    assert (
        "1 of 2 boxes have a sixth number, a detector's confidence, which was left aside: a.txt, line 1" in caplog.text
    )

"""PASCAL VOC's layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.model_files import node, tiny_tree
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.layouts.voc import read_voc

LABEL_MAP = {"dog": "n02084071", "bike": "n02834778"}
DOG = (
    "<object><name>dog</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>11</ymin><xmax>100</xmax>"
    "<ymax>50.5</ymax></bndbox></object>"
)
BIKE = (
    "<object><name> bike </name><bndbox><ymin>5</ymin><xmin>31</xmin><xmax>130</xmax><ymax>20</ymax></bndbox></object>"
)


def write(folder: Path, *objects: str, name: str = "a", size: str = "<width>100</width><height>60</height>") -> Path:
    """Write a picture's XML file and an empty file for the picture; return the annotations' folder."""
    for part in ("Annotations", "JPEGImages"):
        (folder / part).mkdir(exist_ok=True)
    (folder / "JPEGImages" / f"{name}.jpg").touch()
    text = f"<annotation><filename>{name}.jpg</filename><size>{size}</size>{''.join(objects)}</annotation>"
    (folder / "Annotations" / f"{name}.xml").write_text(text)
    return folder / "Annotations"


def test_pixels_count_from_1_and_difficult_is_kept(tmp_path: Path) -> None:
    found = read_voc(write(tmp_path, DOG, BIKE), tmp_path / "JPEGImages", tiny_tree(), LABEL_MAP)
    (picture,) = found.pictures
    assert (picture.path, picture.width, picture.height) == (tmp_path / "JPEGImages" / "a.jpg", 100, 60)
    np.testing.assert_array_equal(picture.boxes, [[0, 10, 100, 50.5], [30, 4, 100, 20]])
    assert picture.nodes.tolist() == [node("dog"), node("bicycle")]
    assert picture.difficult is not None
    assert picture.difficult.tolist() == [True, False]
    assert [category.name for category in found.categories] == ["bike", "dog"]
    assert (found.name, found.clipped, found.dropped) == ("Annotations", 1, 0)


def test_a_list_of_the_kit_chooses_pictures(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path, name=name)
    chosen = tmp_path / "ImageSets" / "Main" / "train.txt"
    chosen.parent.mkdir(parents=True)
    chosen.write_text("c  1\na -1\n")
    found = read_voc(chosen, tmp_path / "JPEGImages", tiny_tree(), LABEL_MAP)
    assert [picture.path.stem for picture in found.pictures] == ["c", "a"]
    assert found.box_count == 0


def bad(value: str) -> str:
    return DOG.replace("<xmin>1</xmin>", value)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (bad("<xmin>left</xmin>"), r"a\.xml: object 2: <bndbox/xmin> is 'left'; write a number"),
        (bad("<xmin>nan</xmin>"), r"object 2: <bndbox/xmin> is 'nan'"),
        (bad(""), r"object 2: there is no <bndbox/xmin>"),
        (DOG.replace("dog", "unicorn"), "'unicorn' is the name of none .*Write a label map"),
        (DOG.replace("<name>dog</name>", ""), r"object 2: there is no <name>"),
        ("<object>", r"a\.xml: is not XML \(mismatched tag"),
    ],
)
def test_a_wrong_object_is_told(tmp_path: Path, thing: str, message: str) -> None:
    with pytest.raises(InvalidDatasetError, match=message):
        read_voc(write(tmp_path, BIKE, thing), tmp_path / "JPEGImages", tiny_tree(), LABEL_MAP)


@pytest.mark.parametrize(
    "size", ["<width>0</width><height>0</height>", "", "<width>1.5</width><height>9</height>", "<width>many</width>"]
)
def test_a_size_that_is_not_there_is_looked_up_in_the_picture(
    tmp_path: Path, size: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    annotations = write(tmp_path, DOG, size=size)
    with pytest.raises(InvalidDatasetError, match=r"a\.jpg \(the picture is empty"):
        read_voc(annotations, tmp_path / "JPEGImages", tiny_tree(), LABEL_MAP)
    Image.new("RGB", (90, 40)).save(tmp_path / "JPEGImages/a.jpg")
    (picture,) = read_voc(annotations, tmp_path / "JPEGImages", tiny_tree(), LABEL_MAP).pictures
    assert (picture.width, picture.height) == (90, 40)
    np.testing.assert_array_equal(picture.boxes, [[0, 10, 90, 40]])
    assert "Annotations: looked up the size of 1 of 1 pictures in their files" in caplog.text


@pytest.mark.parametrize(
    "name", ["a", "a.png", "holiday.png", "", "C:\\photos\\a.jpg", "/home/me/photos/a.png", "photos/a.jpg"]
)
def test_a_picture_is_found_by_a_name_that_is_not_quite_its_own(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    annotations = write(tmp_path, DOG)
    xml = annotations / "a.xml"
    xml.write_text(xml.read_text().replace("<filename>a.jpg", f"<filename>{name}"))
    (picture,) = read_voc(annotations, tmp_path / "JPEGImages", tiny_tree(), LABEL_MAP).pictures
    assert picture.path == tmp_path / "JPEGImages/a.jpg"
    assert f"Annotations: found 1 pictures under another name: {name or 'a'} is a.jpg" in caplog.text


def test_of_two_pictures_of_one_name_none_is_guessed(tmp_path: Path) -> None:
    annotations = write(tmp_path, DOG)
    (tmp_path / "JPEGImages/a.jpg").rename(tmp_path / "JPEGImages/a.jpeg")
    (tmp_path / "JPEGImages/a.png").touch()
    with pytest.raises(InvalidDatasetError, match=r"its picture .*a\.jpg is not there"):
        read_voc(annotations, tmp_path / "JPEGImages", tiny_tree(), LABEL_MAP)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    annotations, pictures = write(tmp_path), tmp_path / "JPEGImages"
    (annotations / "b.xml").write_text(BOMB)
    with pytest.raises(InvalidDatasetError, match=r"b\.xml: is not XML"):
        read_voc(annotations, pictures, tiny_tree())
    (annotations / "b.xml").unlink()
    (pictures / "a.jpg").unlink()
    with pytest.raises(InvalidDatasetError, match=r"a\.xml: its picture .*a\.jpg is not there"):
        read_voc(annotations, pictures, tiny_tree())
    with pytest.raises(InvalidDatasetError, match="holds no XML file"):
        read_voc(pictures, pictures, tiny_tree())
    with pytest.raises(InvalidDatasetError, match="give the folder of the XML files"):
        read_voc(tmp_path / "none.txt", pictures, tiny_tree())
    listed = tmp_path / "x" / "y" / "list.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("\n")
    with pytest.raises(InvalidDatasetError, match="lists no picture"):
        read_voc(listed, pictures, tiny_tree())
    listed.write_text("zzz\n")
    with pytest.raises(InvalidDatasetError, match=r"zzz\.xml: cannot be read \(No such file"):
        read_voc(listed, pictures, tiny_tree())


def test_boxes_with_corners_changed_over_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    turned = BIKE.replace("xmin", "swap").replace("xmax", "xmin").replace("swap", "xmax")
    found = read_voc(write(tmp_path, DOG, turned), tmp_path / "JPEGImages", tiny_tree(), LABEL_MAP)
    assert (found.box_count, found.dropped) == (1, 1)
    assert "Annotations: dropped 1 of 2 boxes: a.xml, object 2 (negative width; x " in caplog.text
    with pytest.raises(InvalidDatasetError, match="none of the 1 boxes can be used"):
        read_voc(write(tmp_path, turned), tmp_path / "JPEGImages", tiny_tree(), LABEL_MAP)


def test_fractions_are_refused(tmp_path: Path) -> None:
    sides = "<xmin>0.1</xmin><ymin>0.2</ymin><xmax>0.9</xmax><ymax>1</ymax>"
    thing = f"<object><name>dog</name><bndbox>{sides}</bndbox></object>"
    with pytest.raises(InvalidDatasetError, match=r"within one pixel .*fractions.* xmin, ymin, xmax, ymax in pixels"):
        read_voc(write(tmp_path, thing), tmp_path / "JPEGImages", tiny_tree(), LABEL_MAP)

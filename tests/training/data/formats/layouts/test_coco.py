"""Reading detection sets: what comes out, and what is said of a set that cannot be used."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.model_files import node, tiny_tree
from tests.training.detection_sets import Drawn, write_annotations, write_pictures
from training.data.formats.detection_set import DetectionSet, InvalidDatasetError
from training.data.formats.layouts.coco import read_coco

Content = dict[str, Any]

CONTENT: Content = {
    "info": {"year": 2017},
    "images": [
        {"id": 3, "file_name": "a.jpg", "width": 40, "height": 20, "licence": 1},
        {"id": "b", "file_name": "deep/b.jpg", "width": 10, "height": 30},
        {"id": 5, "file_name": "background.jpg", "width": 8, "height": 8},
    ],
    "annotations": [
        {"id": 0, "image_id": 3, "category_id": 18, "bbox": [1, 2, 10.5, 5], "area": 52.5, "iscrowd": 0},
        {"id": 1, "image_id": "b", "category_id": 2, "bbox": [0, 0, 10, 30]},
        {"id": 2, "image_id": 3, "category_id": 2, "bbox": [0, 0, 20, 20], "iscrowd": 1},
        {"id": 3, "image_id": 3, "category_id": 2, "bbox": [20, 10, 5, 5]},
    ],
    "categories": [
        {"id": 2, "name": "bike", "wnid": "n02834778", "supercategory": "vehicle"},
        {"id": 18, "name": "dog", "wnid": "n02084071"},
        {"id": 19, "name": "cat", "wnid": "n02121620"},
    ],
}

GOOD: Content = {"image_id": "b", "category_id": 2, "bbox": [0, 0, 10, 30]}


def read(folder: Path, content: Content) -> DetectionSet:
    for name in ("a.jpg", "deep/b.jpg", "background.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return read_coco(write_annotations(folder, content, name="pets"), folder, tiny_tree())


def test_a_set_is_read(tmp_path: Path) -> None:
    pets = read(tmp_path, CONTENT)
    assert pets.name == "pets"
    assert [picture.path for picture in pets.pictures] == [
        tmp_path / name for name in ("a.jpg", "deep/b.jpg", "background.jpg")
    ]
    first, second, background = pets.pictures
    assert (first.width, first.height) == (40, 20)
    np.testing.assert_array_equal(first.boxes, [[1, 2, 11.5, 7], [20, 10, 25, 15]])
    np.testing.assert_array_equal(first.nodes, [node("dog"), node("bicycle")])
    np.testing.assert_array_equal(first.crowd_boxes, [[0, 0, 20, 20]])
    np.testing.assert_array_equal(first.crowd_nodes, [node("bicycle")])
    np.testing.assert_array_equal(second.boxes, [[0, 0, 10, 30]])
    assert background.boxes.shape == background.crowd_boxes.shape == (0, 4)
    for picture in pets.pictures:
        assert {array.dtype.name for array in (picture.boxes, picture.crowd_boxes)} == {"float32"}
        assert {array.dtype.name for array in (picture.nodes, picture.crowd_nodes)} == {"int32"}
    assert [(category.name, category.node) for category in pets.categories] == [
        ("bike", node("bicycle")),
        ("dog", node("dog")),
        ("cat", node("cat")),
    ]
    assert (pets.clipped, pets.dropped, pets.box_count) == (0, 0, 3)
    assert sorted(pets.present.tolist()) == sorted([node("dog"), node("bicycle")])


@pytest.mark.parametrize(
    ("box", "left", "clipped", "message"),
    [
        ([-5, 5, 10, 10], [0, 5, 5, 15], 1, "cut 1 of 2 boxes at the edge: *(partly outside the picture"),
        (
            [35, 15, 100, 100],
            [35, 15, 40, 20],
            1,
            "cut 1 of 2 boxes at the edge: *(partly outside the picture",
        ),
        ([-0.4, 0, 40.9, 20], [0, 0, 40, 20], 0, ""),  # rounding, not a mistake
        ([39.5, 0, 0.5, 20], [39.5, 0, 40, 20], 0, ""),
        (
            [39.6, 0, 10, 20],
            None,
            0,
            "dropped 1 of 2 boxes: *(partly outside the picture",
        ),  # too little of it is left
        ([50, 5, 10, 10], None, 0, "dropped 1 of 2 boxes: *(outside the picture"),
        ([5, 5, 0, 10], None, 0, "dropped 1 of 2 boxes: *(a side below 0.5 pixels"),
        ([5, 5, 10, -3], None, 0, "dropped 1 of 2 boxes: *(negative height"),
    ],
)
def test_a_box_beyond_the_picture_is_cut_or_dropped_counted_and_told(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    box: list[float],
    left: list[float] | None,
    clipped: int,
    message: str,
) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"] = [GOOD, {"image_id": 3, "category_id": 18, "bbox": box}]
    pets = read(tmp_path, content)
    np.testing.assert_array_equal(pets.pictures[0].boxes, [left] if left else np.empty((0, 4)))
    assert (pets.clipped, pets.dropped) == (clipped, 0 if left else 1)
    assert len(pets.pictures[0].nodes) == len(pets.pictures[0].boxes)
    told = [record.getMessage() for record in caplog.records]
    if message:
        (line,) = told
        expected = message.replace("*", "annotations[1] ")
        assert f"pets.json: {expected}; x {box[0]:g} to {box[0] + box[2]:g}, y {box[1]:g}" in line
        assert line.endswith("a.jpg is 40x20)")
    else:
        assert not told


def test_of_many_lost_boxes_the_first_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"] += [{"image_id": 5, "category_id": 2, "bbox": [20 + n, 1, 5, 5]} for n in range(8)]
    assert read(tmp_path, content).dropped == 8
    (line,) = (record.getMessage() for record in caplog.records)
    assert "dropped 8 of 12 boxes: annotations[4] (outside the picture; x 20 to 25" in line
    assert line.endswith("and 3 more")


def _boxes(*boxes: list[float]) -> Content:
    content = copy.deepcopy(CONTENT)
    content["annotations"] = [{"image_id": 3, "category_id": 18, "bbox": box} for box in boxes]
    return content


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[0.25, 0.25, 0.4, 0.4], [0, 0, 0.9, 1]], r"all 2 boxes lie within one pixel .*fractions.* as x, y, width, h"),
        ([[30, 15, -20, -10]], r"none of the 1 boxes can be used: annotations\[0\] \(negative width; x 30 to 10"),
        ([[50, 5, 10, 10], [-20, 5, 10, 10]], r"none of the 2 boxes .*\[0\] \(outside.*, annotations\[1\] \(outside"),
        ([[20, 10, 39, 19], [2, 2, 9, 9]], r"1 of 2 boxes reach beyond .*all would fit as x1, y1, x2, y2"),
    ],
)
def test_a_set_without_a_box_that_makes_sense_is_refused_with_the_likely_reason(
    tmp_path: Path, boxes: list[list[float]], message: str
) -> None:
    with pytest.raises(InvalidDatasetError, match=message):
        read(tmp_path, _boxes(*boxes))


def test_large_boxes_in_the_corner_are_no_corners_for_sides(tmp_path: Path) -> None:
    """One box that only makes sense as x, y, width, height shows that all are meant so."""
    assert read(tmp_path, _boxes([20, 10, 39, 19], [20, 2, 15, 9])).clipped == 1


def test_a_category_without_boxes_needs_no_concept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Roboflow exports one with the project's name."""
    content = copy.deepcopy(CONTENT)
    content["categories"].insert(0, {"id": 0, "name": "hard-hats", "supercategory": "none"})
    with caplog.at_level("INFO"):
        pets = read(tmp_path, content)
    assert [category.name for category in pets.categories] == ["bike", "dog", "cat"]
    assert "left out the classes hard-hats: they have no boxes" in caplog.text


def test_two_categories_may_share_a_concept(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    content["categories"][2]["wnid"] = "n02834778"
    content["annotations"][0]["category_id"] = 19
    assert read(tmp_path, content).present.tolist() == [node("bicycle")]


def _without(*keys: str | int) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        part: Any = content
        for key in keys[:-1]:
            part = part[key]
        del part[keys[-1]]

    return change


def _with(value: object, *keys: str | int) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        part: Any = content
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _with({"id": 18, "name": "hound"}, "categories", 1),
            r"'hound' is the name of none .*Write a label map with a line for each, such as 'WNID hound'",
        ),
        (_with({"id": 18, "name": "hound", "wnid": ""}, "categories", 1), "'hound' is the name of none"),
        (_with("n99999999", "categories", 1, "wnid"), r"of 11 concepts lacks .* 18 \(dog, n99999999\)"),
        (_with("c.jpg", "images", 0, "file_name"), r"1 of its 3 pictures are not in .*: c\.jpg; fetch them"),
        (_with([], "images"), r"`images` is empty"),
        (_with(5, "images", 0, "id"), r"`images` uses the id 5 more than once"),
        (_with(2, "categories", 1, "id"), r"`categories` uses the id 2 more than once"),
        (
            _with(99, "annotations", 1, "image_id"),
            r"annotations\[1\] refers to the picture 99, which `images`",
        ),
        (_with(7, "annotations", 1, "category_id"), r"annotations\[1\] refers to the category 7, which `cat"),
        (_without("annotations"), r"not COCO detection annotations at annotations: Field required"),
        (_without("annotations", 1, "bbox"), r"at annotations\[1\]\.bbox: Field required"),
        (_with([1, 2, 3], "annotations", 1, "bbox"), r"at annotations\[1\]\.bbox\[3\]: Field required"),
        (_with([1, 2, 3, float("nan")], "annotations", 1, "bbox"), r"annotations\[1\]\.bbox\[3\]: .*finite"),
        (_with(-1, "images", 2, "width"), r"at images\[2\]\.width: .* greater than or equal to 0"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused_with_what_to_do(
    tmp_path: Path, change: Callable[[Content], None], message: str
) -> None:
    content = copy.deepcopy(CONTENT)
    change(content)
    with pytest.raises(InvalidDatasetError, match=message) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "annotations" / "pets.json"))


def test_many_of_a_kind_are_not_all_named(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    content["images"] = [{"id": number, "file_name": f"{number}.jpg", "width": 9, "height": 9} for number in range(8)]
    content["annotations"] = []
    with pytest.raises(InvalidDatasetError, match=re.escape("8 of its 8 pictures")) as caught:
        read(tmp_path, content)
    assert "4.jpg and 3 more" in str(caught.value)
    assert "5.jpg" not in str(caught.value)


def test_no_such_file_and_no_json(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match=r"cannot be read \(No such file"):
        read_coco(tmp_path / "none.json", tmp_path, tiny_tree())
    (tmp_path / "text.json").write_text("boxes")
    with pytest.raises(InvalidDatasetError, match="not COCO detection annotations: Invalid JSON"):
        read_coco(tmp_path / "text.json", tmp_path, tiny_tree())


def test_pictures_written_for_tests_can_be_read(tmp_path: Path) -> None:
    drawn = [[Drawn((8, 8, 40, 30), "red", "beagle")], []]
    (beagle, empty) = read_coco(*write_pictures(tmp_path, drawn), tiny_tree()).pictures
    np.testing.assert_array_equal(beagle.boxes, [[8, 8, 48, 38]])
    assert len(empty.boxes) == 0


def test_a_label_map_names_categories_without_a_wnid(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    del content["categories"][1]["wnid"]
    for name in ("a.jpg", "deep/b.jpg", "background.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    annotations = write_annotations(tmp_path, content, name="pets")
    pets = read_coco(annotations, tmp_path, tiny_tree(), {"dog": "n02084071"})
    assert pets.categories[1].node == node("dog")


def test_difficult_boxes_are_told_where_the_set_tells(tmp_path: Path) -> None:
    assert read(tmp_path, CONTENT).pictures[0].difficult is None
    content = copy.deepcopy(CONTENT)
    content["annotations"][0]["difficult"] = 1
    pets = read(tmp_path, content)
    assert [picture.difficult.tolist() for picture in pets.pictures if picture.difficult is not None].count([]) >= 1
    assert sum(picture.difficult.sum() for picture in pets.pictures if picture.difficult is not None) == 1


@pytest.mark.parametrize(
    "change",
    [
        _without("images", 0, "width"),
        _with(0, "images", 0, "height"),
        _with("7.jpg", "images", 0, "file_name"),
        _with("7", "images", 0, "file_name"),
        _with("C:\\photos\\7.png", "images", 0, "file_name"),
        _with("/home/me/photos/7.png", "images", 0, "file_name"),
    ],
)
def test_a_size_and_a_name_are_looked_up_in_the_pictures(tmp_path: Path, change: Callable[[Content], None]) -> None:
    annotations, pictures = write_pictures(tmp_path, [[Drawn((8, 8, 40, 30), "red", "beagle")]])
    (expected,) = read_coco(annotations, pictures, tiny_tree()).pictures
    content = json.loads(annotations.read_text())
    content["images"][0]["file_name"] = Path(content["images"][0]["file_name"]).name
    change(content)
    annotations.write_text(json.dumps(content))
    (found,) = read_coco(annotations, pictures, tiny_tree()).pictures
    assert (found.path, found.width, found.height) == (expected.path, expected.width, expected.height)
    np.testing.assert_array_equal(found.boxes, expected.boxes)


def test_a_category_without_a_wnid_is_the_concept_of_its_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = copy.deepcopy(CONTENT)
    del content["categories"][1]["wnid"]
    assert read(tmp_path, content).present.tolist() == read(tmp_path, CONTENT).present.tolist()
    assert "pets.json: took 1 classes for the concepts of their names: dog is n02084071 (dog" in caplog.text

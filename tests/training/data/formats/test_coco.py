"""Reading detection sets: what comes out, and what is said of a set that cannot be used."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.model_files import node, tiny_tree
from tests.training.detection_sets import Drawn, write_annotations, write_pictures
from training.data.formats.coco import DetectionSet, InvalidDatasetError, read_coco

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
    ("box", "left", "clipped"),
    [
        ([-5, 5, 10, 10], [0, 5, 5, 15], 1),
        ([35, 15, 100, 100], [35, 15, 40, 20], 1),
        ([-0.4, 0, 40.9, 20], [0, 0, 40, 20], 0),  # rounding, not a mistake
        ([39.5, 0, 0.5, 20], [39.5, 0, 40, 20], 0),
        ([39.6, 0, 10, 20], None, 0),  # too little of it is left
        ([50, 5, 10, 10], None, 0),
        ([5, 5, 0, 10], None, 0),
        ([5, 5, 10, -3], None, 0),
    ],
)
def test_a_box_beyond_the_picture_is_cut_or_dropped_and_counted(
    tmp_path: Path, box: list[float], left: list[float] | None, clipped: int
) -> None:
    content = copy.deepcopy(CONTENT)
    content["annotations"] = [{"image_id": 3, "category_id": 18, "bbox": box}]
    pets = read(tmp_path, content)
    np.testing.assert_array_equal(pets.pictures[0].boxes, [left] if left else np.empty((0, 4)))
    assert (pets.clipped, pets.dropped) == (clipped, 0 if left else 1)
    assert len(pets.pictures[0].nodes) == len(pets.pictures[0].boxes)


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
        (_without("categories", 1, "wnid"), r"no `wnid` in category 18 \(dog\); add to every category"),
        (_with("", "categories", 1, "wnid"), r"no `wnid` in category 18 \(dog\)"),
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
        (_with(0, "images", 2, "width"), r"at images\[2\]\.width: .* greater than 0"),
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

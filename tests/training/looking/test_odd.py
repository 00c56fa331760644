"""Records that are well formed and yet seldom meant."""

from pathlib import Path

import numpy as np
import pytest

from training.data.pictures.picture import BoxedPicture
from training.looking.odd import odd_boxes, rare_classes, same_pictures

NAMES = {1: "dog", 2: "cat"}
NEAR = "(IoU 0.9 and more)"
NONE = np.zeros(0, np.int32)


def picture(
    *boxes: tuple[float, float, float, float], nodes: tuple[int, ...], path: Path = Path("a.jpg")
) -> BoxedPicture:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return BoxedPicture(path, 512, 256, corners, np.array(nodes, np.int32), np.zeros((0, 4), np.float32), NONE)


@pytest.mark.parametrize(
    ("boxes", "nodes", "told"),
    [
        (((10, 10, 60, 60), (100, 100, 160, 160)), (1, 2), []),
        (
            ((10, 10, 60, 60), (10, 10, 61, 60)),
            (1, 1),
            [f"1 boxes lie on another of the same class {NEAR}: a.jpg (dog, x 10 to 61, y 10 to 60)"],
        ),
        (
            ((9, 8, 60, 60), (9, 8, 61, 60)),
            (1, 2),
            [f"1 boxes lie on another of a different class {NEAR}: a.jpg (dog and cat, x 9 to 60, y 8 to 60)"],
        ),
        (((10, 10, 410, 30),), (1,), ["1 boxes are 20 times as long as wide: a.jpg (dog, x 10 to 410, y 10 to 30)"]),
        (
            ((10, 10, 30, 13),),
            (1,),
            ["1 boxes have a side below 4 px at an input of 512 px: a.jpg (dog, x 10 to 30, y 10 to 13)"],
        ),
        (((0, 0, 512, 255),), (2,), ["1 boxes cover their whole picture: a.jpg (cat, x 0 to 512, y 0 to 255)"]),
    ],
)
def test_odd_boxes_are_told(
    boxes: tuple[tuple[float, float, float, float], ...], nodes: tuple[int, ...], told: list[str]
) -> None:
    assert odd_boxes([picture(*boxes, nodes=nodes), picture(nodes=())], NAMES) == told


def test_rare_classes_are_told() -> None:
    assert rare_classes([("dog", 10), ("cat", 9), ("cow", 0)]) == ["2 classes have fewer than 10: cat (9), cow (0)"]
    assert rare_classes([("dog", 10)]) == []


def test_the_same_picture_twice_is_told(tmp_path: Path) -> None:
    contents = {"a": b"one", "b": b"one", "c": b"two", "d": b"longer", "e": b"one", "f": b"sixsix"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    a, b, c, d, e, f = (picture(nodes=(), path=tmp_path / name) for name in contents)
    assert same_pictures([("train", [a, b, c]), ("val", [d, e, f, c])]) == [
        f"train: 1 pictures are there twice: {b.path} is {a.path}",
        f"2 pictures are in both train and val: {e.path} is {a.path}, {c.path}",
    ]
    assert same_pictures([("train", [a, c]), ("val", [d, f])]) == []

"""Which box of a picture shows what it is of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.teaching.file.seen import Eye, Seen
from training.teaching.pictures import MOST_OTHERS, MOST_VIEWS, LabelledPicture, Views, look_at

SIZE = 100


class FakeEye:
    """Gives these boxes, with their number for a vector; those of a mirrored picture are mirrored."""

    def __init__(self, boxes: Sequence[tuple[float, float, float, float]], objectness: list[float]) -> None:
        self.boxes, self.objectness = np.array(boxes, np.float32).reshape(-1, 4), np.array(objectness, np.float32)

    def look(self, picture: NDArray[np.uint8], _threshold: float) -> Seen:
        mirrored = picture[0, 0, 0] < 128  # the left half of the picture is white
        boxes = self.boxes
        if mirrored:
            boxes = np.stack([SIZE - boxes[:, 2], boxes[:, 1], SIZE - boxes[:, 0], boxes[:, 3]], axis=1)
        numbers = np.arange(len(boxes), dtype=np.float32)[:, None]
        return Seen(boxes, self.objectness, numbers, np.zeros((len(boxes), 2), np.float32), numbers)


def views_of(tmp_path: Path, eye: FakeEye, drawn: Any = None) -> Views | None:
    image = Image.new("RGB", (SIZE, SIZE))
    image.paste((255, 255, 255), (0, 0, SIZE // 2, SIZE))
    image.save(tmp_path / "picture.png")
    content = (tmp_path / "picture.png").read_bytes()
    boxes = None if drawn is None else np.array(drawn, np.float32).reshape(-1, 4)
    return look_at(cast("Eye", eye), LabelledPicture(tmp_path / "picture.png", content, boxes), (SIZE,))


def seen_of(tmp_path: Path, eye: FakeEye, drawn: Any = None) -> list[int] | None:
    """Return the numbers of the boxes that are taken of a picture, in order."""
    views = views_of(tmp_path, eye, drawn)
    return None if views is None else views.vectors[:, 0].astype(int).tolist()


def test_it_is_the_one_of_greatest_objectness(tmp_path: Path) -> None:
    assert seen_of(tmp_path, FakeEye([(30, 30, 70, 70), (35, 40, 60, 60)], [0.3, 0.9])) == [1, 1]


def test_in_doubt_it_is_the_one_in_the_middle(tmp_path: Path) -> None:
    corner, middle = (0, 0, 20, 20), (40, 40, 60, 60)
    assert seen_of(tmp_path, FakeEye([corner, middle], [0.85, 0.8])) == [1, 1]
    assert seen_of(tmp_path, FakeEye([corner, middle], [0.85, 0.2])) == [0, 0]


def test_boxes_of_the_same_object_are_further_views_of_it(tmp_path: Path) -> None:
    boxes = [(30.0 + number, 30, 70, 70) for number in range(5)] + [(80.0, 80, 95, 95)]
    numbers = seen_of(tmp_path, FakeEye(boxes, [0.5, 0.9, 0.6, 0.7, 0.8, 0.85]))
    assert numbers == [1, 4, 3] * 2
    assert len(numbers) == 2 * MOST_VIEWS


def test_where_boxes_are_drawn_those_are_taken_that_show_them(tmp_path: Path) -> None:
    eye = FakeEye([(0, 0, 20, 20), (40, 40, 60, 60), (80, 80, 100, 100)], [0.2, 0.9, 0.3])
    assert seen_of(tmp_path, eye, [(1, 1, 20, 20), (80, 80, 99, 99)]) == [0, 2, 0, 2]
    assert seen_of(tmp_path, eye, [(20, 0, 40, 20)]) is None


def test_where_nothing_is_found_there_is_no_view(tmp_path: Path) -> None:
    assert seen_of(tmp_path, FakeEye([], [])) is None


def others_of(tmp_path: Path, eye: FakeEye, drawn: Any = None) -> list[int]:
    views = views_of(tmp_path, eye, drawn)
    assert views is not None
    vectors, sureness = views.others
    assert len(vectors) == len(sureness)
    numbers: list[int] = vectors[:, 0].astype(int).tolist()
    return numbers


def test_what_else_is_found_is_kept_once_for_each_object(tmp_path: Path) -> None:
    boxes = [(30, 30, 70, 70), (31, 30, 70, 70), (0, 0, 20, 20), (1, 0, 20, 20), (80, 80, 99, 99)]
    assert others_of(tmp_path, FakeEye(boxes, [0.9, 0.8, 0.3, 0.4, 0.6])) == [4, 3] * 2
    assert others_of(tmp_path, FakeEye(boxes[:2], [0.9, 0.8])) == []
    assert others_of(tmp_path, FakeEye(boxes, [0.9, 0.8, 0.3, 0.4, 0.6]), [(30, 30, 70, 70)]) == []


def test_a_crowd_is_kept_in_part(tmp_path: Path) -> None:
    boxes = [(40.0, 40, 60, 60)] + [(10.0 * number, 0, 10.0 * number + 9, 9) for number in range(9)]
    objectness = [0.95] + [0.9 - 0.05 * number for number in range(9)]
    assert others_of(tmp_path, FakeEye(boxes, objectness)) == [*range(1, 1 + MOST_OTHERS)] * 2

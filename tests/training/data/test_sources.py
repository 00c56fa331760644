"""What an epoch shows of several sets, as one list."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.sources import source
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture
from training.data.sources import Items


def boxed(name: str, node: int) -> BoxedPicture:
    box, none = np.array([[0, 0, 9, 9]], np.float32), np.zeros((0, 4), np.float32)
    return BoxedPicture(Path(name), 9, 9, box, np.array([node], np.int32), none, np.zeros(0, np.int32))


def test_each_picture_stands_in_it_as_often_as_an_epoch_shows_it() -> None:
    rare = source("rare", [boxed("a", 1), boxed("b", 2), boxed("c", 2), boxed("d", 2)], repeats=2, balance=1.0)
    twice = source("twice", [LabelOnlyPicture(Path(name), 0) for name in "ef"], repeats=2)
    none, once = source("none", []), source("once", [LabelOnlyPicture(Path("g"), 0)])
    items = Items([rare, none, twice, once])
    assert "".join(str(picture.path) for _, picture in items) == "aaaabbccddeeffg"
    assert [one.name for one, _ in items][9:] == ["rare", "twice", "twice", "twice", "twice", "once"]
    assert len(items) == sum(one.shown() for one in items.sources) == 15
    for item in (15, -1):
        with pytest.raises(IndexError, match="there are 15 items"):
            items[item]

"""Pictures as columns give back what was put into them."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.pictures import columns
from training.data.pictures.columns import BoxedPictures, LabelOnlyPictures
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture


def boxed(number: int, boxes: int, crowds: int, *, difficult: bool | None) -> BoxedPicture:
    draw = np.random.default_rng(number)
    return BoxedPicture(
        path=Path(f"set/{number}.jpg"),
        width=640 + number,
        height=480,
        boxes=draw.random((boxes, 4), np.float32),
        nodes=draw.integers(0, 9, boxes).astype(np.int32),
        crowd_boxes=draw.random((crowds, 4), np.float32),
        crowd_nodes=draw.integers(0, 9, crowds).astype(np.int32),
        difficult=None if difficult is None else np.arange(boxes) % 2 == difficult,
    )


def same(one: BoxedPicture, other: BoxedPicture) -> bool:
    pairs = [
        (one.boxes, other.boxes),
        (one.nodes, other.nodes),
        (one.crowd_boxes, other.crowd_boxes),
        (one.crowd_nodes, other.crowd_nodes),
    ]
    if (one.difficult is None) != (other.difficult is None):
        return False
    if one.difficult is not None and other.difficult is not None:
        pairs.append((one.difficult, other.difficult))  # type: ignore[arg-type] # of another kind
    return (one.path, one.width, one.height) == (other.path, other.width, other.height) and all(
        np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs
    )


@settings(deadline=None)
@given(
    counts=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from([None, True, False])), max_size=9),
    rows=st.sampled_from([1, 2, 100]),
    data=st.data(),
)
def test_boxes_come_back(counts: list[tuple[int, int, bool | None]], rows: int, data: st.DataObject) -> None:
    given_pictures = [boxed(number, a, b, difficult=c) for number, (a, b, c) in enumerate(counts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "ROWS", rows)
        found = BoxedPictures.of(given_pictures, Path("set"))
    chosen = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=9)) if counts else []
    for pictures, expected in (
        (found, given_pictures),
        (found.select(np.array(chosen, np.int64)), [given_pictures[place] for place in chosen]),
        (found[1:], given_pictures[1:]),
        (pickle.loads(pickle.dumps(found)), given_pictures),  # noqa: S301 - our own, as worker processes get it
    ):
        assert len(pictures) == len(expected)
        assert all(same(one, other) for one, other in zip(pictures, expected, strict=True))
        assert pictures.labels().tolist() == [node for one in expected for node in one.nodes.tolist()]
        assert pictures.counts().tolist() == [len(one.nodes) for one in expected]


def test_labels_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "ROWS", 3)
    strange = os.fsdecode(b"set/\xff.jpg")
    expected = [
        LabelOnlyPicture(Path(name), node)
        for node, name in enumerate(["/else/a.jpg", strange, *(f"set/{letter}" for letter in "bcdefg")])
    ]
    found = LabelOnlyPictures.of(expected, Path("set"))
    assert list(found) == expected
    assert list(found.names())[:2] == [b"/else/a.jpg", b"\xff.jpg"]
    assert found[-1] == expected[-1]
    some = found.select(np.array([6, 0]))[::-1]
    assert list(some) == [expected[0], expected[6]]
    assert some.labels().tolist() == [0, 6]
    assert list(some.names()) == [b"/else/a.jpg", b"f"]
    outside = LabelOnlyPictures.of([LabelOnlyPicture(Path("a.jpg"), 0)], Path("set"))
    assert outside[0].path == Path("a.jpg").absolute()
    for place in (8, -9):
        with pytest.raises(IndexError, match="there are 8 pictures"):
            found[place]


def test_none_are_none() -> None:
    for none in (BoxedPictures.of([]), LabelOnlyPictures.of([])):
        assert len(none) == 0
        assert none.labels().tolist() == []
        assert list(none.names()) == []
    assert BoxedPictures.of([]).counts().tolist() == []

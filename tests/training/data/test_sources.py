"""What an epoch shows of several sets, as one list."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.tree_files import packaged_tree
from tests.training.data.shards.shards import write_boxed, write_labelled
from tests.training.sources import source
from training.data.batches import BatchSampler
from training.data.formats.detection_set import DetectionSet
from training.data.index.sets import ShardSource, read_shards
from training.data.pictures.columns import LabelOnlyPictures
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture
from training.data.shards.cache import ShardsConfiguration
from training.data.shards.files import ShardFiles
from training.data.sources import Items, Source, window_order


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


def in_shards(folder: Path, counts: Sequence[int], window: int, every: int = 0, **part: Any) -> Source:
    """A set in shards: one for each archive."""
    write_labelled(folder, counts)
    one = ShardSource(source=str(folder), held_out_every=every)
    kept = ShardsConfiguration(shuffle=window, cache=folder.parent / "kept")
    found = read_shards(one, packaged_tree(), index=None, configuration=kept)
    assert isinstance(found, LabelOnlyPictures)
    return Source("shards", found, **part)


@pytest.mark.parametrize("every", [0, 3])
@pytest.mark.parametrize("repeats", [1, 3])
def test_an_epoch_shows_each_picture_of_shards_as_often_as_it_should(tmp_path: Path, every: int, repeats: int) -> None:
    first = source("files", [LabelOnlyPicture(Path(str(number)), 0) for number in range(40)])
    items = Items([first, in_shards(tmp_path / "set", (5, 1, 7, 3), 6, every, repeats=repeats), first])
    order = items.shuffled(np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(len(items)))
    assert order.tolist() == items.shuffled(np.random.default_rng(0)).tolist()
    assert order.tolist() != items.shuffled(np.random.default_rng(1)).tolist()
    own = [items[item][1].path for item in order.tolist() if items[item][0].name == "shards"]
    pictures = len(own) // repeats
    for number in range(repeats):  # each time all of them, before any comes again
        assert len(set(own[number * pictures : (number + 1) * pictures])) == pictures
    # the sets are spread over each other
    places = [place for place, item in enumerate(order.tolist()) if items[item][0].name == "shards"]
    assert np.mean(places) == pytest.approx(len(items) / 2, rel=0.25)


def test_pictures_of_a_rare_category_in_shards_come_again_later(tmp_path: Path) -> None:
    write_boxed(tmp_path / "set", (6, 6))
    kept = ShardsConfiguration(shuffle=3)
    found = read_shards(ShardSource(source=str(tmp_path / "set")), packaged_tree(), index=None, configuration=kept)
    assert isinstance(found, DetectionSet)
    items = Items([Source("x", found.pictures, balance=1.0)])
    times = items.sources[0].times()
    assert times is not None
    order = items.shuffled(np.random.default_rng(0)).tolist()
    assert sorted(order) == list(range(int(times.sum())))
    assert len({items[item][1].path for item in order[:12]}) == 12


def test_few_shards_are_needed_at_a_time() -> None:
    counts = np.random.default_rng(0).integers(0, 9, 300)
    ends = np.cumsum(counts)
    order = window_order(ends, 50, np.random.default_rng(1))
    assert sorted(order.tolist()) == list(range(ends[-1]))
    shards = np.searchsorted(ends, order, side="right")
    for first in range(0, len(order), 50):
        assert len(set(shards[first : first + 50].tolist())) <= 40  # of two windows; there are some 270
    assert len(set(shards[:40].tolist())) > 5  # and they are mixed
    assert window_order(np.zeros(0, np.int64), 50, np.random.default_rng(1)).tolist() == []
    alone = window_order(ends, 0, np.random.default_rng(1))
    assert sorted(alone.tolist()) == list(range(ends[-1]))


def test_others_of_a_picture_in_a_shard_are_from_that(tmp_path: Path) -> None:
    one = in_shards(tmp_path / "set", (5, 1, 7, 3), 6, 3)
    for picture in one.pictures:
        drawn = one.others(picture, 5, np.random.default_rng(0))
        assert {other.path.parent for other in drawn} == {picture.path.parent}
    alone = source("files", [LabelOnlyPicture(Path("a"), 0)])
    assert alone.others(alone.pictures[0], 2, np.random.default_rng(0)) == [alone.pictures[0]] * 2


def test_a_stream_has_shards_fetched_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(ShardFiles, "needs_cache", lambda *_: True)
    monkeypatch.setattr(ShardFiles, "fetch", lambda _, shard: asked.append(shard))
    items = Items([in_shards(tmp_path / "set", (4, 4, 4, 4, 4), 4)])
    batches = iter(BatchSampler(items, 2, (64,), 0, 0, 20))
    seen = [next(batches)]
    deadline = time.monotonic() + 5
    while len(set(asked)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 1 <= len(set(asked)) <= 3  # of the first window and the next
    seen += list(batches)
    while len(set(asked)) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(asked) == {0, 1, 2, 3, 4}
    drawn = [draw.item for batch in seen for draw in batch]
    assert sorted(drawn[:20]) == sorted(drawn[20:]) == list(range(20))  # two epochs

"""Sets in tar archives and Parquet files."""

import os
from pathlib import Path
from typing import BinaryIO

import fsspec
import numpy as np
import pytest

from model.archives import patience
from model.archives.locations import RemoteFolder
from tests.archives import tar
from tests.model_files import node, tiny_tree
from tests.training.data.shards.shards import CAT, DOG, annotations, jpeg, write_boxed, write_labelled, write_parquet
from training.data.formats.detection_set import DetectionSet, InvalidDatasetError
from training.data.index import sets
from training.data.index.archives import is_shards
from training.data.index.sets import ShardSource, read_shards
from training.data.pictures.columns import LabelOnlyPictures
from training.data.reading import read_picture
from training.data.shards.cache import ShardsConfiguration
from training.looking.index import IndexConfiguration, build_index

TREE = tiny_tree()
NODES = {DOG: node("dog"), CAT: node("cat")}


def build(source: Path, index: Path) -> str:
    """Index a set; return what is told."""
    (line,) = build_index(IndexConfiguration(sets=(str(source),), output=index, processes=1))
    return line.partition(": ")[2]


def read(
    source: Path, index: Path | None, every: int = 0, *, held_out: bool = False, label_map: Path | None = None
) -> DetectionSet | LabelOnlyPictures:
    one = ShardSource(source=str(source), held_out_every=every, label_map=label_map)
    kept = ShardsConfiguration(cache=source.parent / "kept")
    return read_shards(one, TREE, index=index, configuration=kept, held_out=held_out)


@pytest.mark.parametrize("form", ["*.tar", "*.tar.gz", "*.parquet"])
def test_labels(tmp_path: Path, form: str) -> None:
    if form == "*.parquet":
        pictures = write_parquet(tmp_path / "set" / "a.parquet", 9)
    else:
        pictures = write_labelled(tmp_path / "set", ending=form[1:])
    source, index = tmp_path / "set" / form, tmp_path / "index"
    assert build(source, index).startswith("9 pictures, ")
    for place in (None, index):
        found = read(source, place)
        assert isinstance(found, LabelOnlyPictures)
        assert [one.read() for one in found] == pictures
        assert [one.node for one in found] == [(node("dog"), node("cat"))[seed % 2] for seed in range(9)]
        assert read_picture(found[0]).size == (60, 40)
        held, left = (read(source, place, 4, held_out=held) for held in (True, False))
        assert isinstance(held, LabelOnlyPictures)
        assert isinstance(left, LabelOnlyPictures)
        assert [one.read() for one in held] == [pictures[3], pictures[7]]
        assert {one.path for one in held} | {one.path for one in left} == {one.path for one in found}


def test_a_part_without_pictures(tmp_path: Path) -> None:
    write_labelled(tmp_path / "labelled")
    write_boxed(tmp_path / "boxed")
    for name in ("labelled", "boxed"):
        source = tmp_path / name / "*.tar"
        with pytest.raises(InvalidDatasetError, match="of 9 pictures none is held out with n = 10"):
            read(source, None, 10, held_out=True)
        with pytest.raises(InvalidDatasetError, match="none is left when every n-th is held out with n = 1"):
            read(source, None, 1)


@pytest.mark.parametrize("form", ["*.tar", "*.parquet"])
def test_boxes(tmp_path: Path, form: str) -> None:
    if form == "*.parquet":
        pictures = write_parquet(tmp_path / "set" / "a.parquet", 9, boxed=True)
    else:
        pictures = write_boxed(tmp_path / "set")
    source, index = tmp_path / "set" / form, tmp_path / "index"
    build(source, index)
    for place in (None, index):
        found = read(source, place)
        assert isinstance(found, DetectionSet)
        assert [one.read() for one in found.pictures] == pictures
        assert found.present.tolist() == sorted(NODES.values())
        for seed, one in enumerate(found.pictures):
            told = annotations(seed)
            assert (one.width, one.height) == (60, 40)
            assert one.nodes.tolist() == [NODES[box["category"]] for box in told]
            np.testing.assert_allclose(one.boxes[:, 2:] - one.boxes[:, :2], np.full((len(told), 2), (20, 25)))


def test_only_archives_that_have_changed_are_read_again(tmp_path: Path) -> None:
    pictures = write_boxed(tmp_path / "set")
    source, index = tmp_path / "set" / "*.tar", tmp_path / "index"
    assert build(source, index).endswith("; 3 archives, 3 looked at")
    assert build(source, index).endswith("; 3 archives, all unchanged")
    # an earlier archive with a class that none had before, so that all classes get other numbers
    box = b'{"annotations": [{"bbox": [1, 1, 9, 9], "category": "n02508021"}]}'
    tar(tmp_path / "set" / "0.tar", [("new.jpg", jpeg(99)), ("new.json", box)])
    with pytest.raises(InvalidDatasetError, match=r"1 of its archives are new or have changed: 0\.tar; bring"):
        read(source, index)
    assert build(source, index).endswith("; 4 archives, 1 looked at")
    label_map = tmp_path / "map.txt"
    label_map.write_text(f"{DOG} n02508021")
    found = read(source, index, label_map=label_map)
    assert isinstance(found, DetectionSet)
    assert [one.read() for one in found.pictures] == [jpeg(99), *pictures]
    assert [one.nodes.tolist() for one in found.pictures] == [
        [NODES[DOG]],
        *([NODES[box["category"]] for box in annotations(seed)] for seed in range(9)),
    ]
    (tmp_path / "set" / "001.tar").unlink()
    (tmp_path / "set" / "002.tar").rename(tmp_path / "set" / "2.tar")
    with pytest.raises(
        InvalidDatasetError,
        match=r"2 of its archives are missing: 001\.tar, 002\.tar; 1 of its archives are new or have changed: 2\.tar;",
    ):
        read(source, index)


def test_what_cannot_be_used_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "set").mkdir()
    picture = jpeg(0)
    members = [("dog/1.jpg", picture), ("dog/2.jpg", picture[:300]), ("dog/3.jpg", jpeg(3))]
    path = tar(tmp_path / "set" / "a.tar", members)
    tar(tmp_path / "set" / "b.tar", [(f"cat/{number}.jpg", picture) for number in range(3)])
    whole = path.with_name("b.tar").read_bytes()
    path.with_name("b.tar").write_bytes(whole[: 3 * len(picture)])  # in the third; the second may lack its labels
    assert build(tmp_path / "set" / "*.tar", tmp_path / "index").startswith("3 pictures")
    told = read(tmp_path / "set" / "*.tar", tmp_path / "index")
    assert isinstance(told, LabelOnlyPictures)
    assert [one.read() for one in told] == [picture, jpeg(3), picture]
    assert "left out 2 of 5 pictures, which cannot be used: a.tar/dog/2.jpg (the JPEG is damaged" in caplog.text
    assert "b.tar (the archive is " in caplog.text
    strict = ShardSource(source=str(tmp_path / "set" / "*.tar"))
    with pytest.raises(InvalidDatasetError, match="left out 2 of 5 pictures"):
        read_shards(strict, TREE, index=tmp_path / "index", configuration=ShardsConfiguration(), strict=True)


def test_boxes_that_are_cut_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "set").mkdir()
    boxes = b'{"annotations": [{"bbox": [1, 1, 99, 9], "category": "cat"}, {"bbox": [90, 1, 9, 9], "category": "cat"}]}'
    tar(tmp_path / "set" / "a.tar", [("1.jpg", jpeg(0)), ("1.json", boxes)])
    found = read(tmp_path / "set" / "a.tar", None)
    assert isinstance(found, DetectionSet)
    assert (found.clipped, found.dropped, found.box_count) == (1, 1, 1)
    assert "dropped 1 boxes, and cut 1 at the edge: a.tar/1.jpg, box 2 (outside the picture" in caplog.text


def test_a_picture_nobody_looked_at_is_no_background(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    members = [("1.jpg", jpeg(1)), ("2.jpg", jpeg(2)), ("2.json", b'{"annotations": []}'), ("3.jpg", jpeg(3))]
    tar(tmp_path / "a.tar", members)
    found = read(tmp_path / "a.tar", None)
    assert isinstance(found, DetectionSet)
    assert [one.read() for one in found.pictures] == [jpeg(2)]
    assert "left out 2 of 3 pictures, which cannot be used: a.tar/1.jpg (no `annotations`), a.tar/3.jpg" in caplog.text


def test_a_network_that_fails_while_an_archive_is_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSES", (0.0,))
    write_labelled(tmp_path / "there", (2,))
    name = f"/{tmp_path.name}"
    fsspec.filesystem("memory").put(str(tmp_path / "there"), name, recursive=True)
    whole, failures = RemoteFolder.open, [RuntimeError("slow")]

    def failing(self: RemoteFolder, name: str) -> BinaryIO:
        if failures:
            raise failures.pop()
        return whole(self, name)

    monkeypatch.setattr(RemoteFolder, "open", failing)
    source = ShardSource(source=f"memory:/{name}")
    found = read_shards(source, TREE, index=None, configuration=ShardsConfiguration(cache=tmp_path / "kept"))
    assert isinstance(found, LabelOnlyPictures)
    assert [one.read() for one in found] == [jpeg(0), jpeg(1)]
    sets._gathered.cache_clear()
    failures += [RuntimeError("slow")] * 2
    with pytest.raises(InvalidDatasetError, match=r"000\.tar: the shard cannot be read \(slow\)"):
        read_shards(source, TREE, index=None, configuration=ShardsConfiguration())


def test_sets_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(InvalidDatasetError, match="no such folder or file"):
        read(tmp_path / "nowhere.tar", None)
    with pytest.raises(InvalidDatasetError, match="there are no tar archives or Parquet files"):
        read(tmp_path / "set", None)
    tar(tmp_path / "set" / "a.tar", [("dog/1.jpg", jpeg(0)[:200])])
    with pytest.raises(InvalidDatasetError, match=r"no pictures in it: a\.tar/dog/1\.jpg"):
        read(tmp_path / "set", None)
    tar(tmp_path / "set" / "a.tar", [("dog/1.jpg", jpeg(0))])
    tar(tmp_path / "set" / "b.tar", [("1.jpg", jpeg(0)), ("1.json", b'{"annotations": []}')])
    with pytest.raises(InvalidDatasetError, match="some of its archives have boxes, and others labels alone"):
        read(tmp_path / "set", None)


def test_an_archive_for_each_class(tmp_path: Path) -> None:
    """ImageNet comes so."""
    for wnid, seeds in ((DOG, (0, 1)), (CAT, (2,))):
        (tmp_path / "set").mkdir(exist_ok=True)
        tar(tmp_path / "set" / f"{wnid}.tar", [(f"{wnid}_{seed}.JPEG", jpeg(seed)) for seed in seeds])
    found = read(tmp_path / "set", None)
    assert isinstance(found, LabelOnlyPictures)
    assert [one.node for one in found] == [NODES[DOG]] * 2 + [NODES[CAT]]
    assert found[2].path.name == f"{CAT}_2.JPEG"
    assert os.path.relpath(found[2].path, tmp_path) == f"set/{CAT}.tar/{CAT}_2.JPEG"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("s3://bucket/a", True),
        ("x/*.tar", True),
        ("x.parquet", True),
        ("x", False),
        ("a.zip", False),
        ("b.json", False),
    ],
)
def test_what_is_taken_for_shards(given: str, *, told: bool) -> None:
    assert is_shards(given) == told

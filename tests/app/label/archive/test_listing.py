import os
from pathlib import Path

import pytest

from app.label.archive.listing import Listed, default_shard_size, first_difference, list_source, shards_of
from app.label.archive.shards import UNKNOWN, Shard
from app.label.archive.sorting import Entry
from model.archives.errors import SourceError
from model.archives.locations import LocalFolder
from tests.archives import parquet, tar

PICTURE = b"any bytes"


def listed(source: Path, *, every_file: bool = False) -> Listed:
    return list_source(str(source), every_file=every_file, output=LocalFolder(source / "out"), progress=int)


def cut(source: Path, size: int) -> list[Shard]:
    return list(shards_of(listed(source), size, None, None, int))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.png", "c/a.jpg", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PICTURE)
    return tmp_path


def test_everything_in_the_order_of_names(source: Path) -> None:
    found = listed(source)
    assert [entry.name for entry in found.entries] == ["a.png", "b.jpg", "c/a.jpg"]
    assert found.passed_over == 1
    assert [entry.name for entry in listed(source, every_file=True).entries] == [
        "a.png",
        "b.jpg",
        "c/a.jpg",
        "notes.txt",
    ]


def test_results_within_the_source_are_no_part_of_it(source: Path) -> None:
    (source / "out").mkdir()
    (source / "out/x.parquet").write_bytes(b"")
    (source / "outer.jpg").write_bytes(PICTURE)
    assert [entry.name for entry in listed(source).entries] == ["a.png", "b.jpg", "c/a.jpg", "outer.jpg"]


def test_nothing_to_label(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no pictures, tar"):
        listed(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SourceError, match="1 files are of other kinds; --every-file"):
        listed(tmp_path)


def test_the_digest_tells_every_change(source: Path) -> None:
    before = listed(source)
    assert listed(source).digest() == before.digest()
    os.utime(source / "b.jpg", ns=(1, 1))
    assert listed(source).digest() != before.digest()
    assert first_difference(before.entries, listed(source).entries) == "b.jpg has changed"
    (source / "aa.jpg").write_bytes(PICTURE)
    assert first_difference(before.entries, listed(source).entries) == "aa.jpg is new"
    (source / "a.png").unlink()
    assert first_difference(before.entries, listed(source).entries) == "a.png is gone"
    assert first_difference([], [Entry("x\udcff", "picture", 1, "")]) == "x\\xff is new"
    assert first_difference([Entry("x", "picture", 1, "")], []) == "x is gone"


def test_pictures_fill_shards(source: Path) -> None:
    shards = cut(source, 2)
    assert [[entry.name for entry in shard.entries] for shard in shards] == [["a.png", "b.jpg"], ["c/a.jpg"]]
    assert [shard.count for shard in shards] == [2, 1]


def test_archives_are_cut_where_that_is_cheap(tmp_path: Path) -> None:
    members = [(f"{number}.{ending}", PICTURE) for number in range(5) for ending in ("jpg", "json")]
    tar(tmp_path / "a.tar", members)
    tar(tmp_path / "b.tgz", members, "w:gz")
    tar(tmp_path / "c.tar", [])
    (tmp_path / "d.tar").write_bytes(b"rubbish" * 100)
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "e.tar").write_bytes(whole[: 512 * 14])
    shards = [(shard.entries[0].name, shard.first, shard.offset, shard.count) for shard in cut(tmp_path, 2)]
    assert shards == [
        ("a.tar", 0, 0, 2),
        ("a.tar", 2, 4096, 2),
        ("a.tar", 4, 8192, 1),
        ("b.tgz", 0, 0, UNKNOWN),
        ("c.tar", 0, 0, 0),
        ("d.tar", 0, 0, UNKNOWN),
        ("e.tar", 0, 0, 2),
        ("e.tar", 2, 4096, UNKNOWN),
    ]


def test_parquet_files_are_cut_by_row_groups(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"image": [PICTURE] * 7}, rows_in_group=2)
    parquet(tmp_path / "c.parquet", {"image": [PICTURE][:0]})
    (tmp_path / "d.parquet").write_bytes(b"rubbish")
    shards = [(s.entries[0].name, s.first, s.groups, s.offset, s.count) for s in cut(tmp_path, 4)]
    assert shards == [
        ("a.parquet", 0, 2, 0, 4),
        ("a.parquet", 2, 2, 4, 3),
        ("c.parquet", 0, 0, 0, 0),
        ("d.parquet", 0, 0, 0, UNKNOWN),
    ]


def test_a_parquet_file_without_such_a_column_is_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"image": [PICTURE], "n": [1]})
    with pytest.raises(SourceError, match=r"^a\.parquet: .*'img' of bytes, but image \(binary\), n \(int64\)"):
        list(shards_of(listed(tmp_path), 4, "img", None, int))
    parquet(tmp_path / "b.parquet", {"n": [[1]]})
    with pytest.raises(SourceError, match=r"^b\.parquet: .* no column of bytes, but n \(list<.*int64>\); nothing was"):
        cut(tmp_path, 4)


def test_small_sources_are_cut_small() -> None:
    assert default_shard_size(0, 2) == 512
    assert default_shard_size(1, 2) == 1
    assert default_shard_size(1000, 2) == 63
    assert default_shard_size(10**8, 2) == 512

from pathlib import Path

import pytest

from app.label.archive import shards
from app.label.archive.shards import UNKNOWN, Shard, ShardReader, ShardWriter, name_to_text
from app.label.archive.sorting import Entry
from model.archives.locations import LocalFolder


def picture(name: str) -> Entry:
    return Entry(name, "picture", 7, "stamp")


def test_shards_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PER_FILE", 3)
    made = [Shard.of_pictures([picture(f"{number}a"), picture(f"{number}\udcff")]) for number in range(7)]
    archive = Entry("x.tar", "tar", 5, "stamp")
    made += [Shard((archive,), 0, 0, 0, 10), Shard((archive,), 10, 0, 5120, UNKNOWN)]
    location = LocalFolder(tmp_path)
    with ShardWriter(location) as writer:
        for shard in made:
            writer.add(shard)
    reader = ShardReader(location)
    assert [reader[number] for number in (8, 0, 3, 1, 2, 4, 5, 6, 7)] == [made[n] for n in (8, 0, 3, 1, 2, 4, 5, 6, 7)]
    assert reader.counts().tolist() == [2] * 7 + [10, UNKNOWN]
    assert list(reader.entries(9)) == [entry for shard in made[:7] for entry in shard.entries] + [archive]
    assert made[8].kind == "tar"


def test_nothing_is_left_of_shards_that_fail(tmp_path: Path) -> None:
    location = LocalFolder(tmp_path)

    def fail() -> None:
        with ShardWriter(location) as writer:
            writer.add(Shard.of_pictures([picture("a")]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(location.names("listing")) == []
    assert list(location.temporary().iterdir()) == []


def test_names_become_text() -> None:
    assert name_to_text("ü\udcff.jpg") == "ü\\xff.jpg"

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from app.label.archive.reading import Reader, UnreadableError
from app.label.archive.shards import UNKNOWN, Shard
from app.label.archive.sorting import Entry
from app.label.errors import WorkError
from model.archives import patience
from model.archives.locations import LocalFolder, locate
from tests.archives import parquet, tar

Read = list[tuple[str, bytes | str]]


def read(reader: Reader, shard: Shard) -> Read:
    """Return each picture's name with its bytes or the reason why there are none."""
    found: Read = []
    for item in reader.items(shard):
        try:
            found.append((item.name, item.load()))
        except UnreadableError as error:
            found.append((item.name, str(error)))
    return found


def entry(path: Path, kind: str = "picture") -> Entry:
    return Entry(path.name, kind, path.stat().st_size, "")  # type: ignore[arg-type]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(LocalFolder(tmp_path), max_bytes=100)


def test_files(tmp_path: Path, reader: Reader) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "large.jpg").write_bytes(b"x" * 101)
    (tmp_path / "folder.jpg").mkdir()
    shard = Shard.of_pictures(
        [
            entry(tmp_path / "a.jpg"),
            entry(tmp_path / "large.jpg"),
            Entry("large.jpg", "picture", 5, "it has grown"),
            Entry("gone.jpg", "picture", 5, ""),
            Entry("folder.jpg", "picture", 5, ""),
            Entry("odd\udcff.jpg", "picture", 5, ""),
        ]
    )
    assert read(reader, shard) == [
        ("a.jpg", b"a"),
        ("large.jpg", "it has 101 bytes, more than the limit of 100"),
        ("large.jpg", "it has 101 bytes, more than the limit of 100"),
        ("gone.jpg", "it cannot be read: No such file or directory"),
        ("folder.jpg", "it cannot be read: Is a directory"),
        ("odd\\xff.jpg", "it cannot be read: No such file or directory"),
    ]


def test_hostile_archives(tmp_path: Path, reader: Reader) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind, size in (
            ("../../escape.jpg", tarfile.REGTYPE, 3),
            ("/etc/absolute.jpg", tarfile.REGTYPE, 3),
            ("link.jpg", tarfile.SYMTYPE, 0),
            ("hard.jpg", tarfile.LNKTYPE, 0),
            ("device.jpg", tarfile.CHRTYPE, 0),
            ("pipe.jpg", tarfile.FIFOTYPE, 0),
            ("folder.jpg", tarfile.DIRTYPE, 0),
            ("huge.jpg", tarfile.REGTYPE, 101),
            ("twice.jpg", tarfile.REGTYPE, 1),
            ("twice.jpg", tarfile.REGTYPE, 2),
        ):
            header = tarfile.TarInfo(name)
            header.type, header.size, header.linkname = kind, size, "/etc/passwd"
            archive.addfile(header, io.BytesIO(b"x" * size))
    before = sorted(path for path in tmp_path.parent.rglob("*") if "escape" in path.name)
    no_file = "it is no file but a link or a device"
    assert read(reader, Shard((entry(tmp_path / "x.tar", "tar"),))) == [
        ("x.tar/../../escape.jpg", b"xxx"),
        ("x.tar//etc/absolute.jpg", b"xxx"),
        ("x.tar/link.jpg", no_file),
        ("x.tar/hard.jpg", no_file),
        ("x.tar/device.jpg", no_file),
        ("x.tar/pipe.jpg", no_file),
        ("x.tar/huge.jpg", "it has 101 bytes, more than the limit of 100"),
        ("x.tar/twice.jpg", b"x"),
        ("x.tar/twice.jpg", b"xx"),
    ]
    assert sorted(path for path in tmp_path.parent.rglob("*") if "escape" in path.name) == before == []


def test_parts_of_an_archive_and_its_damage(tmp_path: Path, reader: Reader) -> None:
    path = tar(tmp_path / "x.tar", [(f"{number}.jpg", b"%d" % number) for number in range(6)])
    archive = (entry(path, "tar"),)
    assert read(reader, Shard(archive, 2, 0, 2048, 2)) == [("x.tar/2.jpg", b"2"), ("x.tar/3.jpg", b"3")]
    assert read(reader, Shard(archive, 0, 0, 0, 0)) == []
    path.write_bytes(path.read_bytes()[:4096])
    assert read(reader, Shard(archive, 2, 0, 2048))[2:] == [
        (
            "x.tar",
            "the archive is cut short: it has no end mark; the pictures behind the first 4 are lost",
        )
    ]
    path.unlink()
    reason = "it cannot be read: No such file or directory; the pictures behind the first 2 are lost"
    assert read(reader, Shard(archive, 2, 0, 2048)) == [("x.tar", reason)]


def test_rows(tmp_path: Path, reader: Reader) -> None:
    path = parquet(tmp_path / "x.parquet", {"image": [b"0", None, b"x" * 101, b"3"], "id": ["a", "b", None, "a"]}, 2)
    archive = (entry(path, "parquet"),)
    assert read(reader, Shard(archive, 0, 1, 0, 2)) == [("x.parquet#0", b"0"), ("x.parquet#1", "the row has no bytes")]
    named = Reader(reader.location, 100, "image", "id")
    too_large = "it has 101 bytes, more than the limit of 100"
    assert read(named, Shard(archive, 1, 1, 2, 2)) == [("x.parquet#2", too_large), ("a", b"3")]
    assert len(read(reader, Shard(archive, count=UNKNOWN))) == 4  # it could not be read when it was listed
    path.write_bytes(b"rubbish")
    lost = read(reader, Shard(archive, 1, 1, 2, 2))
    assert [name for name, _ in lost] == ["x.parquet#2", "x.parquet#3"]
    assert all("damaged" in str(reason) for _, reason in lost)
    assert [name for name, _ in read(reader, Shard(archive))] == ["x.parquet"]


def test_a_parquet_file_without_pictures(tmp_path: Path, reader: Reader) -> None:
    path = parquet(tmp_path / "x.parquet", {"n": [1, 2]})
    ((name, reason),) = read(reader, Shard((entry(path, "parquet"),)))
    assert name == "x.parquet"
    assert "no column of bytes" in str(reason)


class TestNetworks:
    """What is not on this machine may fail for a while, which is no fault of a picture."""

    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(patience, "PAUSES", (0, 0, 0))

    def failing(self, monkeypatch: pytest.MonkeyPatch, folder: Path, error: Exception, times: int) -> Reader:
        location = locate(folder.as_uri())
        opened: Callable[[str], BinaryIO] = location.open
        failures = iter([error] * times)

        def fail(name: str) -> BinaryIO:
            for failure in failures:
                raise failure
            return opened(name)

        monkeypatch.setattr(location, "open", fail)
        return Reader(location, 100)

    @pytest.mark.parametrize("error", [ConnectionResetError("reset"), RuntimeError("of the library's own")])
    def test_it_is_tried_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        (tmp_path / "a.jpg").write_bytes(b"a")
        shard = Shard.of_pictures([entry(tmp_path / "a.jpg")])
        assert read(self.failing(monkeypatch, tmp_path, error, 3), shard) == [("a.jpg", b"a")]
        with pytest.raises(WorkError, match=r"a\.jpg cannot be read"):
            read(self.failing(monkeypatch, tmp_path, error, 4), shard)

    def test_what_is_not_there_is_not_tried_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.jpg").write_bytes(b"a")
        shard = Shard.of_pictures([entry(tmp_path / "a.jpg")])
        ((_, reason),) = read(self.failing(monkeypatch, tmp_path, FileNotFoundError(2, "No such file"), 1), shard)
        assert reason == "it cannot be read: No such file"

    def test_archives_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shard = Shard((entry(tar(tmp_path / "x.tar", [("a.jpg", b"a")]), "tar"),))
        assert read(self.failing(monkeypatch, tmp_path, TimeoutError("late"), 2), shard) == [("x.tar/a.jpg", b"a")]
        with pytest.raises(WorkError, match=r"x\.tar cannot be read: late"):
            read(self.failing(monkeypatch, tmp_path, TimeoutError("late"), 4), shard)


def test_pictures_of_lists_are_numbered(tmp_path: Path, reader: Reader) -> None:
    path = parquet(tmp_path / "x.parquet", {"image": [[b"a", b"b"], [], [b"c"]]})
    shard = Shard((entry(path, "parquet"),), 0, 1, 0, 3)
    assert read(reader, shard) == [
        ("x.parquet#0/0", b"a"),
        ("x.parquet#0/1", b"b"),
        ("x.parquet#1", "the row has no pictures"),
        ("x.parquet#2/0", b"c"),
    ]

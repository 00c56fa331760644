"""Zip files: unpacked once, whole or not at all, and never outside their folder."""

import os
import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from tests.model_files import node, tiny_tree
from training.data.formats.archives import unpacked
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.folder import read_folder

CONTENT = {"set/dog/1.png": b"one", "set/dog/2.png": b"two", "set/notes.txt": b"3"}


def pack(path: Path, content: dict[str, bytes]) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_is_unpacked_beside_the_file_and_its_only_folder_is_the_set(tmp_path: Path) -> None:
    folder = unpacked(pack(tmp_path / "pets.ZIP", CONTENT))
    assert folder == tmp_path / "pets.unpacked/set"
    assert files(folder) == {name.removeprefix("set/"): data for name, data in CONTENT.items()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets.ZIP", "pets.unpacked"]


def test_it_is_unpacked_once_and_anew_when_it_has_changed(tmp_path: Path) -> None:
    path = pack(tmp_path / "pets.zip", CONTENT)
    folder = unpacked(path)
    (folder / "dog/3.png").write_bytes(b"mine")
    assert unpacked(path) == folder
    assert (folder / "dog/3.png").exists()
    pack(path, {"a.png": b"other"})
    os.utime(path, ns=(1, 1))
    assert set(files(unpacked(path))) == {"a.png", ".source.json"}


def test_what_is_no_picture_or_annotation_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hidden = {"__MACOSX/a.png": b"", ".cache/a.png": b"", "b/.DS_Store": b""}
    folder = unpacked(
        pack(tmp_path / "a.zip", {"a.png": b"1", "b/a.xml": b"2", "run.sh": b"3", "LICENSE": b"4", **hidden})
    )
    assert set(files(folder)) == {"a.png", "b/a.xml", ".source.json"}
    assert "skipped 2 files that are no pictures or annotations: 1 .sh, 1 without a suffix" in caplog.text


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "b/../../a.png", "..\\a.png"])
def test_a_name_outside_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    path = pack(tmp_path / "in/a.zip", {"b.png": b"", name: b""})
    with pytest.raises(InvalidDatasetError, match="lies outside it"):
        unpacked(path)
    assert [one.name for one in tmp_path.rglob("*")] == ["in", "a.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.png": b"1"})
    with ZipFile(path, "a") as archive:
        archive.writestr("a.png", b"2")
    with pytest.raises(InvalidDatasetError, match=r"holds a\.png more than once"):
        unpacked(path)


def test_a_damaged_file_leaves_nothing_behind(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.png": os.urandom(5000), "b.png": os.urandom(5000)})
    content = bytearray(path.read_bytes())
    content[7000:7100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(InvalidDatasetError, match=r"a.zip: cannot be unpacked \(Bad CRC-32"):
        unpacked(path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "File is not a zip file"), (b"PK\x03\x04", "not a zip"), (None, "No such file")]
)
def test_what_is_no_zip_file_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InvalidDatasetError, match=rf"a.zip: cannot be unpacked .*{message}"):
        unpacked(tmp_path / "a.zip")


def test_an_encrypted_file_is_told(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.png": b"1"})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # ZIP's general purpose flag 0 of the file, and of its entry in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(InvalidDatasetError, match="password required"):
        unpacked(path)


def test_more_than_the_disk_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "a.zip", {"a.png": bytes(10_000_000)})
    usage = shutil.disk_usage(tmp_path)._replace(free=9_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InvalidDatasetError, match=r"takes 10 MB unpacked, and 9 MB are left"):
        unpacked(path)


def test_a_folder_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.unpacked").mkdir()
    (tmp_path / "a.unpacked/mine").touch()
    with pytest.raises(InvalidDatasetError, match=r"is in the way of unpacking a\.zip"):
        unpacked(pack(tmp_path / "a.zip", CONTENT))
    assert (tmp_path / "a.unpacked/mine").exists()


def test_the_separator_of_windows_is_one(tmp_path: Path) -> None:
    folder = unpacked(pack(tmp_path / "a.zip", {"set\\dog\\1.png": b"one", "set\\cat\\1.png": b"two"}))
    assert files(folder) == {"cat/1.png": b"two", "dog/1.png": b"one"}


def test_folders_of_classes_may_be_in_one(tmp_path: Path) -> None:
    path = pack(tmp_path / "pets.zip", CONTENT)
    assert [one.node for one in read_folder(path, tiny_tree())] == [node("dog")] * 2

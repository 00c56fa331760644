import os
from pathlib import Path

import pytest

from model.archives.errors import OutputError, SourceError
from model.archives.locations import LocalFolder, RemoteFolder, find, is_url, locate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b [1].jpg", "sub/c.jpg", "sub/deep/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


@pytest.fixture(params=["local", "fsspec"])
def place(request: pytest.FixtureRequest, folder: Path) -> str:
    return str(folder) if request.param == "local" else folder.as_uri()


def test_a_folder_is_walked(place: str) -> None:
    location, found = find(place)
    files = sorted(found)
    assert [file.name for file in files] == ["a.jpg", "b [1].jpg", "sub/c.jpg", "sub/deep/d.jpg"]
    assert [file.size for file in files] == [5, 9, 9, 14]
    assert all(file.stamp for file in files)
    with location.open("sub/c.jpg") as file:
        assert file.read() == b"sub/c.jpg"


def test_patterns(place: str) -> None:
    location, found = find(f"{place}/*.jpg")
    assert sorted(file.name for file in found) == ["a.jpg", "b [1].jpg"]
    assert sorted(file.name for file in find(f"{place}/**/?.jpg")[1]) == ["a.jpg", "sub/c.jpg", "sub/deep/d.jpg"]
    assert [file.name for file in find(f"{place}/s*/deep/*")[1]] == ["sub/deep/d.jpg"]
    assert location.url.endswith(Path(place).name)


def test_a_file_is_itself_even_if_its_name_looks_like_a_pattern(place: str) -> None:
    assert [file.name for file in find(f"{place}/b [1].jpg")[1]] == ["b [1].jpg"]


def test_what_is_not_there(place: str) -> None:
    with pytest.raises(SourceError, match="no such folder or file, and no"):
        find(f"{place}/missing")
    assert list(locate(place).names("missing")) == []
    assert locate(place).look("missing") is None


def test_put_and_names(place: str, tmp_path: Path) -> None:
    location = locate(f"{place}/results")
    temporary = location.temporary() / "part"
    temporary.write_bytes(b"whole")
    location.put(temporary, "deep/one.txt")
    assert not temporary.exists()
    assert list(location.names("deep")) == ["one.txt"]
    assert (tmp_path / "results/deep/one.txt").read_bytes() == b"whole"


def test_links(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/a.jpg").write_bytes(b"a")
    source = tmp_path / "source"
    source.mkdir()
    (source / "file.jpg").symlink_to(tmp_path / "there/a.jpg")
    (source / "broken.jpg").symlink_to("nowhere")
    (source / "loop").symlink_to(source, target_is_directory=True)
    os.mkfifo(source / "pipe.jpg")
    assert sorted((file.name, file.size) for file in find(str(source))[1]) == [("broken.jpg", 0), ("file.jpg", 1)]


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(SourceError, match=f"{tmp_path}.*Permission denied"):
        list(LocalFolder(tmp_path).walk())


def test_only_one_at_a_time(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    with folder.alone():
        with pytest.raises(OutputError, match="another run"), LocalFolder(tmp_path).alone():
            pass
        (folder.temporary() / "left.part").write_bytes(b"")
        folder.clear()
        assert not (tmp_path / "tmp").exists()
    with folder.alone():
        pass


def test_urls() -> None:
    assert is_url("s3://bucket/x")
    assert not is_url("/data/x")
    assert not is_url("a:b")
    assert isinstance(locate("memory://x"), RemoteFolder)
    with pytest.raises(SourceError, match="nonsense"):
        locate("nonsense://x")
    with pytest.raises(SourceError, match=r"yolo9000\[gs\]"):
        locate("gs://bucket/x")

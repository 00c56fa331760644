"""Classification pictures in folders named by WordNet id."""

from pathlib import Path

import pytest

from tests.model_files import node, tiny_tree
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.folder import read_folder
from training.data.pictures.columns import LabelOnlyPictures

DOG, CAT = "n02084071", "n02121620"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for wnid, count in ((DOG, 5), (CAT, 3)):
        (tmp_path / wnid).mkdir()
        for number in range(count):
            (tmp_path / wnid / f"{number}.JPEG").touch()
    (tmp_path / DOG / "notes.txt").touch()
    (tmp_path / "README").touch()
    return tmp_path


def names(pictures: LabelOnlyPictures, folder: Path) -> list[str]:
    return [str(one.path.relative_to(folder)) for one in pictures]


def test_pictures_are_listed_in_order(folder: Path) -> None:
    pictures = read_folder(folder, tiny_tree())
    expected = [f"{DOG}/{number}.JPEG" for number in range(5)] + [f"{CAT}/{number}.JPEG" for number in range(3)]
    assert names(pictures, folder) == expected
    assert [one.node for one in pictures] == [node("dog")] * 5 + [node("cat")] * 3


@pytest.mark.parametrize(
    ("every", "kept"), [(0, [5, 3]), (2, [3, 2]), (3, [4, 2]), (4, [4, 3]), (5, [4, 3]), (6, [5, 3])]
)
def test_some_of_every_synset_are_held_out(folder: Path, every: int, kept: list[int]) -> None:
    pictures = read_folder(folder, tiny_tree(), held_out_every=every)
    assert [sum(one.node == node(name) for one in pictures) for name in ("dog", "cat")] == kept
    if every == 2:
        assert names(pictures, folder)[:3] == [f"{DOG}/{number}.JPEG" for number in (0, 2, 4)]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match=r"nowhere: there is no such folder"):
        read_folder(tmp_path / "nowhere", tiny_tree())


def test_a_folder_that_is_no_concept(folder: Path) -> None:
    (folder / "doggies").mkdir()
    with pytest.raises(InvalidDatasetError, match=r"1 of 3 class names .* 'doggies' is the name of none"):
        read_folder(folder, tiny_tree())


def test_a_folder_named_by_its_class(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / CAT).rename(folder / "cat")
    (folder / DOG).rename(folder / "doggies")
    pictures = read_folder(folder, tiny_tree(), {"doggies": DOG})
    assert [one.node for one in pictures] == [node("cat")] * 3 + [node("dog")] * 5
    assert "took 1 classes for the concepts of their names: cat is n02121620" in caplog.text


def test_no_pictures(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(InvalidDatasetError, match="holds no pictures"):
        read_folder(tmp_path_factory.mktemp("empty"), tiny_tree())
    with pytest.raises(InvalidDatasetError, match="none that is not held out"):
        read_folder(folder, tiny_tree(), held_out_every=1)


def test_what_is_passed_over_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / CAT / "deeper").mkdir()
    (folder / "loose.JPG").touch()
    for name in ("a.tif", "b.GIF", "c.jfif"):
        (folder / CAT / name).touch()
    assert len(read_folder(folder, tiny_tree())) == 11
    told = [record.getMessage() for record in caplog.records]
    assert [line.partition(": ")[2] for line in told] == [
        "skipped 1 pictures that are in no class's folder",
        "skipped 1 files without a picture's suffix: 1 .txt",
        "skipped 1 folders in it",
    ]

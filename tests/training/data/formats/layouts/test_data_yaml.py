"""data.yaml as ultralytics documents it: where the pictures of each split are."""

from pathlib import Path

import pytest
from PIL import Image

from tests.model_files import tiny_tree
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.layouts.data_yaml import split_pictures
from training.data.formats.read import locate, read_detection_set

NAMES = "names: {0: n02084071, 1: n02834778}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A set with two pictures to train on and one to score, each with a dog."""
    for split, names in {"train": ("a", "b"), "val": ("c",)}.items():
        for part in ("images", "labels"):
            (tmp_path / part / split).mkdir(parents=True)
        for name in names:
            Image.new("RGB", (40, 20)).save(tmp_path / f"images/{split}/{name}.jpg")
            (tmp_path / f"labels/{split}/{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    return tmp_path


def write(root: Path, text: str) -> Path:
    path = root / "data.yaml"
    path.write_text(text + NAMES)
    return path


def names_of(path: Path, split: str) -> list[str]:
    found = read_detection_set(path, None, tiny_tree(), split=split)  # type: ignore[arg-type] # one of the three
    assert found.box_count == len(found.pictures)
    return [picture.path.stem for picture in found.pictures]


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nval: images/val\n",
        "path: .\ntrain: images/train\nval: images/val\n",
        "path: ../elsewhere/coco8\ntrain: images/train\nvalid: images/val\n",
        "path: images\ntrain: train\nval: val\n",
        "train: ../images/train\nval: ../images/val\n",  # Roboflow's
        "train: [images/train]\nval: [images/val]\n",
        "train: train.txt\nval: lists/val.txt\n",
    ],
)
def test_both_splits_are_found(root: Path, text: str) -> None:
    (root / "train.txt").write_text("./images/train/a.jpg\n\nimages/train/b.jpg\n")
    (root / "lists").mkdir()
    (root / "lists/val.txt").write_text("../images/val/c.jpg\n")
    path = write(root, text)
    assert names_of(path, "train") == ["a", "b"]
    assert names_of(path, "val") == ["c"]
    assert read_detection_set(path, None, tiny_tree(), split="val").name == f"{root.name}-val"


def test_an_absolute_path_and_many_places(root: Path) -> None:
    path = write(root, f"path: {root}\ntrain:\n  - images/val\n  - {root}/images/train\n  - images/val\n")
    assert names_of(path, "train") == ["c", "a", "b"]


def test_a_folder_that_is_given_counts(root: Path) -> None:
    path = write(root, "train: nowhere\n")
    assert read_detection_set(path, root / "images/val", tiny_tree()).box_count == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("val: images/val\n", "`train` is None; write the folder of its pictures"),
        ("train: 3\n", "`train` is 3"),
        ("train: [1]\n", r"`train` is \[1\]"),
        ("train: []\n", r"`train` is None"),
        ("path: /none\ntrain: images/none\n", "images/none is not in .*none; put `path` and this right"),
        ("train: list.txt\n", r"list\.txt: 2 of its 3 lines name no picture: z\.jpg, data\.yaml; fetch them"),
        ("train: empty\n", "holds no pictures"),
    ],
)
def test_what_is_not_there_is_told(root: Path, text: str, message: str) -> None:
    (root / "list.txt").write_text("images/train/a.jpg\nz.jpg\ndata.yaml\n")
    (root / "empty").mkdir()
    with pytest.raises(InvalidDatasetError, match=message):
        read_detection_set(write(root, text), None, tiny_tree())


def test_only_a_yaml_may_say_where_pictures_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match=r"set\.json: give the folder of its pictures as well"):
        read_detection_set(tmp_path / "set.json", None, tiny_tree())


def test_a_yaml_needs_no_folder_beside_it() -> None:
    assert locate("sets/data.yaml", Path("data")) == (Path("sets/data.yaml"), None)
    assert locate("data.yaml:images", Path("data")) == (Path("data.yaml"), Path("images"))
    assert locate("coco_val", Path("data")) == (Path("data/annotations/coco_val.json"), Path("data/images/coco_val"))


def test_pictures_of_a_folder_come_once(root: Path) -> None:
    assert len(split_pictures(write(root, "train: [images, images/train]\n"), "train")) == 3

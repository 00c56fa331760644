"""What a YOLO set's data.yaml says: its classes and where its pictures are. Or a list of class names, which says less.

data.yaml is as ultralytics documents it (https://docs.ultralytics.com/datasets/detect): `names` is a list or a map from
numbers; `path` is the set's folder; `train`, `val` and `test` are each a folder of pictures, a text file with a
picture a line, or a list of those, relative to `path`.
"""

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Final, Literal, NamedTuple

import yaml

from model.files.text import read_text
from model.pictures.suffixes import has_picture_suffix
from training.data.formats.detection_set import InvalidDatasetError, some_of
from training.data.formats.picture_files import list_pictures

Split = Literal["train", "val", "test"]

YAML: Final = frozenset({".yaml", ".yml"})
BESIDE: Final = frozenset({".txt", ".cache"})
"""Suffixes of what lies with pictures: their boxes, lists, and what other programs keep of both."""
ALSO: Final = {"val": ("valid", "validation")}
"""What else a split is called."""
UP: Final = "../"


class Classes(NamedTuple):
    """What a set's list of classes says.

    Attributes:
        names: of the classes, in the order of their numbers.
        keypoints: numbers that follow a box in a line, for the keypoints of its thing; None where there are none.
    """

    names: tuple[str, ...]
    keypoints: int | None = None


def is_yaml(path: Path) -> bool:
    """Tell by its name whether a file is a data.yaml."""
    return path.suffix.lower() in YAML


def read_classes(path: Path) -> Classes:
    """Read a set's list of classes: data.yaml or a text file.

    Raises:
        InvalidDatasetError: the file cannot be read, does not name classes 0 to N - 1, or has a wrong `kpt_shape`.
    """
    keypoints = None
    if not is_yaml(path):
        names = [line.strip() for line in _text(path).splitlines()]
    else:
        found = _content(path)
        given = found.get("names")
        if isinstance(given, dict) and sorted(given, key=str) == sorted(range(len(given)), key=str):
            given = [given[number] for number in range(len(given))]
        if not isinstance(given, list):
            raise InvalidDatasetError(f"{path}: `names` is no list of class names, nor numbers from 0 with a name each")
        names = [str(name).strip() for name in given]
        keypoints = _keypoint_values(path, found.get("kpt_shape"))
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise InvalidDatasetError(f"{path}: {'a class has no name' if names else 'names no class'}; write one a line")
    return Classes(tuple(names), keypoints)


def _keypoint_values(path: Path, shape: object) -> int | None:
    """Return how many numbers of a line are keypoints, from data.yaml's `kpt_shape`, [count, 2 or 3]."""
    match shape:
        case None:
            return None
        case [int(count), 2 | 3 as each] if count > 0:
            return count * int(each)
    raise InvalidDatasetError(f"{path}: `kpt_shape` is {shape!r}; write [number of keypoints, 2 or 3]")


def split_pictures(path: Path, split: Split) -> list[Path]:
    """Return the pictures of a split, those of each folder sorted, none twice.

    Args:
        path: of data.yaml.
        split: which.

    Raises:
        InvalidDatasetError: it does not name the split, or the folder or file that it names is not there.
    """
    content = _content(path)
    given = _given(content, split)
    places = [given] if isinstance(given, str) else given
    if not isinstance(places, list) or not places or not all(isinstance(one, str) for one in places):
        raise InvalidDatasetError(f"{path}: `{split}` is {given!r}; write the folder of its pictures")
    return list(dict.fromkeys(picture for one in places for picture in _listed(_found(path, content, one), path)))


def splits_of(path: Path) -> list[Split]:
    """Return which of `train` and `val`, those that commands use, a data.yaml names.

    Raises:
        InvalidDatasetError: none.
    """
    content = _content(path)
    splits: tuple[Split, ...] = ("train", "val")
    if found := [split for split in splits if _given(content, split)]:
        return found
    raise InvalidDatasetError(
        f"{path}: names neither `train` nor `val`; write the folders of their pictures, or give one beside this file"
    )


def _given(content: dict[str, Any], split: Split) -> object:
    return next((content[name] for name in (split, *ALSO.get(split, ())) if content.get(name)), None)


def _content(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise InvalidDatasetError(f"{path}: is no YAML ({error})") from error
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDatasetError(f"{path}: cannot be read ({error})") from error


def _found(path: Path, content: dict[str, Any], place: str) -> Path:
    """Return where a split is.

    `path` may be another machine's, or relative to wherever ultralytics keeps its data. And Roboflow writes
    ../train/images where train lies beside data.yaml.
    """
    beside = path.parent
    root = content.get("path")
    roots = [beside / root, Path(root), beside] if isinstance(root, str) else [beside]
    for name in (place, place.removeprefix(UP)):
        for one in roots:
            if (one / name).exists():
                return Path(os.path.normpath(one / name))
    raise InvalidDatasetError(
        f"{path}: {place} is not in {roots[0]}; put `path` and this right, or give the folder of the pictures as "
        f"well as this file"
    )


def _listed(place: Path, path: Path) -> list[Path]:
    """Return the pictures of a folder or of a text file that lists them."""
    if place.is_dir():
        return list_pictures(place, deep=True, beside=BESIDE)
    lines = [line.strip() for line in _text(place).splitlines() if line.strip()]
    pictures = [_picture(line, (place.parent, path.parent)) for line in lines]
    missing = [line for line, found in zip(lines, pictures, strict=True) if found is None]
    if missing:
        raise InvalidDatasetError(
            f"{place}: {len(missing)} of its {len(lines)} lines name no picture: {some_of(missing)}; fetch them or "
            f"remove the lines"
        )
    return [found for found in pictures if found is not None]


def _picture(line: str, bases: Sequence[Path]) -> Path | None:
    """Return the picture that a line of a list names, without the first folders of its path where these are elsewhere.

    Many a list is from another machine, and CVAT writes data/ before its paths.
    """
    if not has_picture_suffix(line):
        return None
    parts = PurePath(line).parts
    places = (base / Path(*parts[first:]) for first in range(len(parts)) for base in (*bases, Path()))
    return next((Path(os.path.normpath(place)) for place in places if place.is_file()), None)

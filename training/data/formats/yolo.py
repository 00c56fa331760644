"""Reads detection sets in YOLO's layout: a text file for each picture, and a list of class names.

A line is `class x y width height`: the class's number from 0, the box's centre and sides as fractions of the picture's.
A line of more coordinates is a polygon's corners, x y x y ...; its box is the least that holds them. The text files lie
in a folder beside the pictures', `labels` where theirs is `images`, or with the pictures themselves. A picture without
a text file is a picture of background.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import ExifTags, Image

from model.text_files import read_text
from model.wordtree import WordTree
from training.data.formats.coco import Category, DetectionSet, InvalidDatasetError, clip_picture, detection_set
from training.data.formats.folder import SUFFIXES
from training.data.formats.label_map import categories_of

LYING: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that turn a picture by 90 degrees, so that width and height change places."""


def read_yolo(names: Path, pictures: Path, tree: WordTree, label_map: Mapping[str, str] | None = None) -> DetectionSet:
    """Read a detection set.

    Args:
        names: the class names: data.yaml with `names`, or a text file with a name a line (classes.txt, obj.names).
        pictures: the folder of the pictures; folders within it are looked through, too.
        tree: what the nodes of the answer index.
        label_map: the node's id of each class name; without one the names must be ids.

    Raises:
        InvalidDatasetError: a file cannot be read or has a wrong line, no picture is labelled, or a class has no node.
    """
    categories = categories_of(class_names(names), tree, label_map, names)
    files = sorted(path for path in pictures.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InvalidDatasetError(f"{pictures}: holds no pictures; give the folder of the set's pictures")
    labels = [_labels_of(path) for path in files]
    if not any(path.is_file() for path in labels):
        raise InvalidDatasetError(
            f"{pictures}: none of its {len(files)} pictures has a text file of boxes, such as {labels[0]}; add them"
        )
    clipped = []
    for picture, label in zip(files, labels, strict=True):
        width, height = _size(picture)
        corners, classes = _read(label, categories)
        clipped.append(
            clip_picture(
                picture,
                (width, height),
                corners * np.array([width, height, width, height]),
                np.array([categories[number].node for number in classes], np.int32),
            )
        )
    return detection_set(pictures.name, clipped, categories)


def class_names(path: Path) -> tuple[str, ...]:
    """Return the names of the classes, in the order of their numbers.

    Raises:
        InvalidDatasetError: the file cannot be read or does not name classes 0 to N - 1.
    """
    try:
        text = read_text(path)
        found = yaml.safe_load(text) if path.suffix in {".yaml", ".yml"} else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidDatasetError(f"{path}: the class names cannot be read ({error})") from error
    if found is None:
        names = [line.strip() for line in text.splitlines()]
    else:
        given = found.get("names") if isinstance(found, dict) else None
        if isinstance(given, dict) and sorted(given, key=str) == sorted(range(len(given)), key=str):
            given = [given[number] for number in range(len(given))]
        if not isinstance(given, list):
            raise InvalidDatasetError(f"{path}: `names` is no list of class names, nor numbers from 0 with a name each")
        names = [str(name).strip() for name in given]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise InvalidDatasetError(f"{path}: {'a class has no name' if names else 'names no class'}; write one a line")
    return tuple(names)


def _labels_of(picture: Path) -> Path:
    """Return where the boxes of a picture are: the last folder `images` of its path is `labels` there."""
    parts = list(picture.parts)
    if "images" in parts[:-1]:
        place = len(parts) - 2 - parts[-2::-1].index("images")
        moved = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
        if moved.is_file() or not picture.with_suffix(".txt").is_file():
            return moved
    return picture.with_suffix(".txt")


def _size(picture: Path) -> tuple[int, int]:
    try:
        with Image.open(picture) as image:
            width, height = image.size
            lying = image.getexif().get(ExifTags.Base.Orientation) in LYING
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidDatasetError(f"{picture}: this picture cannot be read: {error}; replace or remove it") from error
    return (height, width) if lying else (width, height)


def _read(path: Path, categories: Sequence[Category]) -> tuple[NDArray[np.float64], list[int]]:
    """Return corners as fractions [N, 4] and class numbers [N]; none where there is no file."""
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        lines = []
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDatasetError(f"{path}: the boxes cannot be read ({error})") from error
    corners, classes = [], []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                label, box = _parse(line, len(categories))
            except ValueError as error:
                raise InvalidDatasetError(f"{path}, line {number}: {error}") from error
            classes.append(label)
            corners.append(box)
    return np.array(corners, np.float64).reshape(-1, 4), classes


def _parse(line: str, classes: int) -> tuple[int, tuple[float, float, float, float]]:
    fields = line.split()
    try:
        label, values = int(fields[0]), [float(field) for field in fields[1:]]
    except ValueError:
        raise ValueError(f"{line!r} is not `class x y width height`; put it right or remove it") from None
    if not 0 <= label < classes:
        raise ValueError(f"there is no class {label}; the classes are 0 to {classes - 1}")
    if not all(math.isfinite(value) and -1 <= value <= 2 for value in values):  # more is no rounding: it is pixels
        raise ValueError("a coordinate is far outside 0 to 1; give fractions of the picture's sides")
    if len(values) == 4:
        x, y, width, height = values
        return label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(values) >= 6 and len(values) % 2 == 0:
        return label, (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    raise ValueError(f"has {len(values)} coordinates; a box has 4, a polygon two for each of its corners")

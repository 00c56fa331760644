"""Reads detection sets in YOLO's layout: a text file for each picture, and a list of class names.

A line is `class x y width height`: the class's number from 0, the box's centre and sides as fractions of the picture's.
A line of more coordinates is a polygon's corners, x y x y ...; its box is the least that holds them. Where data.yaml
has `kpt_shape`, a line is a box and its keypoints, which are left aside. So is a detector's confidence behind a box.
The text files lie in a folder beside the pictures', `labels` where theirs is `images`, or with the pictures themselves.
A picture without a text file is a picture of background.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.files.text import read_text
from model.pictures.suffixes import has_picture_suffix
from model.wordtree import WordTree
from training.data.formats.detection_set import (
    DetectionSet,
    InvalidDatasetError,
    Refuse,
    clip_picture,
    gather,
    refuse_set,
    some_of,
)
from training.data.formats.label_map import categories_of
from training.data.formats.layouts.data_yaml import BESIDE, Classes, Split, read_classes, split_pictures
from training.data.formats.picture_files import list_pictures
from training.data.formats.picture_headers import usable_pictures

logger = logging.getLogger(__name__)

BOX_FORM: Final = "class, centre x, centre y, width, height, all but the class as fractions of the picture"
LISTS: Final = frozenset({"classes.txt", "train.txt", "val.txt", "test.txt"})


def read_yolo(
    names: Path,
    pictures: Path | Split,
    tree: WordTree,
    label_map: Mapping[str, str] | None = None,
    refuse: Refuse = refuse_set,
) -> DetectionSet:
    """Read a detection set.

    Args:
        names: the class names: data.yaml with `names`, or a text file with a name a line (classes.txt, obj.names).
        pictures: the folder of the pictures, and folders within it are looked through, too; or a split of data.yaml.
        tree: what the nodes of the answer index.
        label_map: the node's id of each class name; without one the names must be ids.
        refuse: what to do about a line, a picture or a class that cannot be used.

    Raises:
        InvalidDatasetError: a file cannot be read or has a wrong line, no picture is labelled, or a class has no node.
    """
    classes = read_classes(names)
    if isinstance(pictures, Path):
        source, title, files = pictures, pictures.name, list_pictures(pictures, deep=True, beside=BESIDE)
    else:
        source, title, files = names, f"{names.absolute().parent.name}-{pictures}", split_pictures(names, pictures)
    if not files:
        raise InvalidDatasetError(f"{source}: holds no pictures; give the folder of the set's pictures")
    labels = [_labels_of(path) for path in files]
    if not any(path.is_file() for path in labels):
        raise InvalidDatasetError(
            f"{source}: none of its {len(files)} pictures has a text file of boxes, such as {labels[0]}; add them"
        )
    read = [_read(label, classes, refuse) for label in labels]
    remarks = [*_unused(files, labels, names), *_confidences(read)]
    used = {classes.names[number] for one in read for number in one.classes}
    categories = categories_of(classes.names, tree, label_map, names, used=used, refuse=refuse)
    sizes = usable_pictures(files, refuse)
    clipped = []
    for picture, one, label in zip(files, read, labels, strict=True):
        if picture in sizes:
            clipped.append(
                clip_picture(
                    picture,
                    sizes[picture],
                    one.corners * np.array([*sizes[picture]] * 2),
                    np.array([categories[classes.names[number]].node for number in one.classes], np.int32),
                    [f"{label.name}, line {line}" for line in one.lines],
                )
            )
    return gather(source, title, clipped, list(categories.values()), BOX_FORM, remarks, refuse)


def _unused(files: Sequence[Path], labels: Sequence[Path], names: Path) -> Iterator[str]:
    """Tell of the text files beside those of the pictures that belong to no picture, nor to one of another split."""
    known, folders = {*labels, names}, defaultdict[Path, set[Path]](set)
    for file, label in zip(files, labels, strict=True):
        folders[label.parent].add(file.parent)
    for folder in sorted(folders):
        others = [path for path in sorted(folder.glob("*.txt")) if path not in known and path.name not in LISTS]
        if not others:
            continue
        stems = {path.stem for place in folders[folder] for path in place.iterdir() if has_picture_suffix(path.name)}
        alone = [path.name for path in others if path.stem not in stems]
        if alone:
            yield f"{len(alone)} text files of boxes have no picture: {some_of(alone)} in {folder}"


def _labels_of(picture: Path) -> Path:
    """Return where the boxes of a picture are: the last folder `images` of its path is `labels` there."""
    parts = list(picture.parts)
    if "images" in parts[:-1]:
        place = len(parts) - 2 - parts[-2::-1].index("images")
        moved = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
        if moved.is_file() or not picture.with_suffix(".txt").is_file():
            return moved
    return picture.with_suffix(".txt")


class _Boxes(NamedTuple):
    """What a text file says.

    Attributes:
        corners: [N, 4], fractions of the picture's sides.
        classes: N numbers.
        lines: N numbers of lines, from 1.
        confident: the lines among these that end with a detector's confidence.
    """

    corners: NDArray[np.float64]
    classes: list[int]
    lines: list[int]
    confident: list[str]


def _confidences(read: Sequence[_Boxes]) -> Iterator[str]:
    """Tell of the boxes that a detector has drawn."""
    found = [where for one in read for where in one.confident]
    if found:
        yield (
            f"{len(found)} of {sum(len(one.lines) for one in read)} boxes have a sixth number, a detector's "
            f"confidence, which was left aside: {some_of(found)}. Did anybody look at these boxes?"
        )


def _read(path: Path, classes: Classes, refuse: Refuse) -> _Boxes:
    """Read a text file; there is nothing in one that does not exist."""
    lines = []
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        refuse(InvalidDatasetError(f"{path}: the boxes cannot be read ({error})"))
    corners, numbers, places, confident = [], [], [], []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                label, box, sure = _parse(line, classes)
            except ValueError as error:
                refuse(InvalidDatasetError(f"{path}, line {number}: {error}"))
                continue
            numbers.append(label)
            corners.append(box)
            places.append(number)
            if sure:
                confident.append(f"{path.name}, line {number}")
    return _Boxes(np.array(corners, np.float64).reshape(-1, 4), numbers, places, confident)


def _parse(line: str, classes: Classes) -> tuple[int, tuple[float, float, float, float], bool]:
    """Return the class, the corners, and whether a confidence stands behind them."""
    try:
        first, *values = (float(field) for field in line.split())
    except ValueError:
        first = math.nan
    if not first.is_integer():  # some programs write 0.0
        raise ValueError(f"{line!r} is not `class x y width height`; put it right or remove it")
    label = int(first)
    if not 0 <= label < len(classes.names):
        raise ValueError(f"there is no class {label}; the classes are 0 to {len(classes.names) - 1}")
    if classes.keypoints is not None:
        if len(values) not in {4, 4 + classes.keypoints}:
            raise ValueError(
                f"has {len(values)} numbers after the class; a box has 4 and its keypoints, as `kpt_shape` says, "
                f"{classes.keypoints}"
            )
        values = values[:4]
    confident = len(values) == 5 and 0 <= values[4] <= 1
    if confident:
        values.pop()
    if not all(math.isfinite(value) and -1 <= value <= 2 for value in values):  # more is no rounding: it is pixels
        raise ValueError("a coordinate is far outside 0 to 1; give fractions of the picture's sides")
    if len(values) == 4:
        x, y, width, height = values
        return label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2), confident
    if len(values) >= 6 and len(values) % 2 == 0:
        return label, (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])), False
    raise ValueError(
        f"has {len(values)} coordinates; a box has 4, a polygon two for each of its corners. If keypoints follow the "
        f"box, give data.yaml with its `kpt_shape`"
    )

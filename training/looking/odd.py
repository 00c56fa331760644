"""Records that are well formed, and yet seldom what somebody meant: a box drawn twice, the same picture in two sets."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from model.geometry import box_iou
from training.data.formats.detection_set import some_of
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture
from training.files import sha256_of

SAME: Final = 0.9
"""IoU of two boxes from which on they are most likely one thing."""
THIN: Final = 20.0
"""Times that one side of a thin box is longer than the other."""
INPUT: Final = 512
"""Pixels of the input that tiny boxes are measured at, the embedded model's."""
TINY: Final = 4.0
"""Pixels of the shorter side there: half a cell of the finest grid."""
WHOLE: Final = 0.99
"""Share of its picture that a box covers which says no more than a label."""
RARE: Final = 10
"""Boxes of a class below which there is little to learn, and less to score on."""


def odd_boxes(pictures: Iterable[BoxedPicture], names: dict[int, str]) -> list[str]:
    """Tell of boxes that are most likely wrong; each kind is counted, and the first few are named.

    Args:
        pictures: of a set.
        names: of the classes, by their node.
    """
    twice, twofold, thin, tiny, whole = (list[str]() for _ in range(5))
    for picture in pictures:
        sides = picture.boxes[:, 2:] - picture.boxes[:, :2]
        long, short = sides.max(1, initial=0), sides.min(1, initial=np.inf)
        scale = INPUT / max(picture.width, picture.height)

        def place(number: int, other: int | None = None, picture: BoxedPicture = picture) -> str:
            x1, y1, x2, y2 = picture.boxes[number].tolist()
            called = " and ".join(names[int(picture.nodes[one])] for one in (number, other) if one is not None)
            return f"{picture.path.name} ({called}, x {x1:.0f} to {x2:.0f}, y {y1:.0f} to {y2:.0f})"

        thin += [place(one) for one in np.flatnonzero(long >= THIN * short).tolist()]
        tiny += [place(one) for one in np.flatnonzero(short * scale < TINY).tolist()]
        covered = sides.prod(1) >= WHOLE * picture.width * picture.height
        whole += [place(one) for one in np.flatnonzero(covered).tolist()]
        for first, second in np.argwhere(np.triu(box_iou(picture.boxes, picture.boxes) >= SAME, 1)).tolist():
            if picture.nodes[first] == picture.nodes[second]:
                twice.append(place(second))
            else:
                twofold.append(place(first, second))
    kinds = (
        (twice, f"boxes lie on another of the same class (IoU {SAME:g} and more)"),
        (twofold, f"boxes lie on another of a different class (IoU {SAME:g} and more)"),
        (thin, f"boxes are {THIN:g} times as long as wide"),
        (tiny, f"boxes have a side below {TINY:g} px at an input of {INPUT} px"),
        (whole, "boxes cover their whole picture"),
    )
    return [f"{len(found)} {what}: {some_of(found)}" for found, what in kinds if found]


def rare_classes(counts: Iterable[tuple[str, int]]) -> list[str]:
    """Tell of classes with few boxes or pictures.

    Args:
        counts: names of classes and how many they have.
    """
    rare = [f"{name} ({count})" for name, count in counts if count < RARE]
    return [f"{len(rare)} classes have fewer than {RARE}: {some_of(rare)}"] if rare else []


def same_pictures(sets: Sequence[tuple[str, Sequence[BoxedPicture | LabelOnlyPicture]]]) -> list[str]:
    """Tell of files that have the same content, within a set and in two.

    Args:
        sets: their names and pictures.
    """
    within: dict[str, list[str]] = defaultdict(list)
    between: dict[tuple[str, str], list[str]] = defaultdict(list)
    for group in _alike({(name, picture.path) for name, pictures in sets for picture in pictures}):
        (name, path), *others = group
        for other_name, other in others:
            told = f"{other} is {path}" if other != path else str(path)
            if other_name == name:
                within[name].append(told)
            else:
                between[name, other_name].append(told)
    found = [f"{name}: {len(told)} pictures are there twice: {some_of(told)}" for name, told in within.items()]
    return found + [
        f"{len(told)} pictures are in both {one} and {other}: {some_of(told)}" for (one, other), told in between.items()
    ]


def _alike(files: set[tuple[str, Path]]) -> Iterator[list[tuple[str, Path]]]:
    """Yield files with the same content, in order; only those of the same length are read."""
    lengths: dict[int, list[tuple[str, Path]]] = defaultdict(list)
    for entry in sorted(files):
        lengths[entry[1].stat().st_size].append(entry)
    for candidates in lengths.values():
        if len({path for _, path in candidates}) > 1:
            digests: dict[str, list[tuple[str, Path]]] = defaultdict(list)
            for entry in candidates:
                digests[sha256_of(entry[1])].append(entry)
            yield from (group for group in digests.values() if len(group) > 1)
        elif len(candidates) > 1:
            yield candidates

"""Reads sets as training would, and goes on where training would not."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from model.wordtree import WordTree
from training.data.formats.detection_set import Category, InvalidDatasetError, Refuse
from training.data.formats.folder import read_folder
from training.data.formats.given import sets_given
from training.data.formats.label_map import known_names
from training.data.formats.layouts.data_yaml import Split
from training.data.formats.picture_headers import Size, check_pictures
from training.data.formats.read import read_detection_set
from training.data.pictures.picture import Picture

READERS: Final = read_detection_set.__module__.rpartition(".")[0]
"""The logger of all that is told while sets are read."""


@dataclass(frozen=True, eq=False)
class SetRead:
    """What could be read of a set.

    Attributes:
        name: of the set.
        pictures: that can be used.
        sizes: of their files.
        categories: its classes; one whose concept is not clear has a negative node.
        refused: why training would refuse the set.
        told: what training would tell of it, and go on.
    """

    name: str
    pictures: tuple[Picture, ...] = ()
    sizes: dict[Path, Size] = field(default_factory=dict)
    categories: tuple[Category, ...] = ()
    refused: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def read_sets(given: str, data: Path, tree: WordTree, label_map: Path | None) -> list[SetRead]:
    """Read what one entry of the command line stands for: a set, or the two that a data.yaml or an export names.

    Args:
        given: see `training.data.formats.given.sets_given`.
        data: see there.
        tree: of the classes.
        label_map: see `training.data.formats.label_map`.
    """
    try:
        sets = sets_given(given, data)
    except InvalidDatasetError as error:
        return [SetRead(given, refused=(str(error),))]
    return [
        _read_boxes(one.name, one.annotations, one.pictures, tree, label_map, one.split)
        if one.boxed
        else _read_folder(one.annotations, tree, label_map)
        for one in sets
    ]


def _read_boxes(
    name: str, annotations: Path, pictures: Path | None, tree: WordTree, label_map: Path | None, split: Split = "train"
) -> SetRead:
    refused, refuse = _notes()
    with _listening() as told:
        try:
            found = read_detection_set(annotations, pictures, tree, label_map, split=split, refuse=refuse)
        except InvalidDatasetError as error:
            return SetRead(name, refused=(*refused, str(error)), told=_of(annotations, told))
        usable, sizes = _usable(found.pictures, refuse)
    return SetRead(name, usable, sizes, found.categories, _of(annotations, refused), _of(annotations, told))


def _read_folder(folder: Path, tree: WordTree, label_map: Path | None) -> SetRead:
    refused, refuse = _notes()
    with _listening() as told:
        try:
            pictures = read_folder(folder, tree, known_names(label_map), refuse=refuse)
        except InvalidDatasetError as error:
            return SetRead(str(folder), refused=(*refused, str(error)), told=_of(folder, told))
        usable, sizes = _usable(pictures, refuse)
    names = {picture.node: picture.path.parent.name for picture in pictures}
    categories = tuple(
        Category(name, tree.wnids[node] if node >= 0 else "", node) for node, name in sorted(names.items())
    )
    return SetRead(str(folder), usable, sizes, categories, _of(folder, refused), _of(folder, told))


def _usable(pictures: Sequence[Picture], refuse: Refuse) -> tuple[tuple[Picture, ...], dict[Path, Size]]:
    """Return the pictures that can be used, and the sizes of their files."""
    sizes = check_pictures(pictures, refuse).tolist()
    usable = [(picture, Size(*size)) for picture, size in zip(pictures, sizes, strict=True) if size[0]]
    return tuple(picture for picture, _ in usable), {picture.path: size for picture, size in usable}


def _notes() -> tuple[list[str], Refuse]:
    """Return a list, and what a reader calls to put into it why it would have refused a set."""
    notes: list[str] = []
    return notes, lambda error: notes.append(str(error))


class _Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Gather what the readers log, instead of showing it."""
    readers, ear = logging.getLogger(READERS), _Ear()
    before = readers.propagate, readers.level
    readers.addHandler(ear)
    readers.propagate = False
    readers.setLevel(logging.INFO)
    try:
        yield ear.heard
    finally:
        readers.removeHandler(ear)
        readers.propagate, readers.level = before


def _of(source: Path, messages: Sequence[str]) -> tuple[str, ...]:
    """Leave out of messages the name of what they are about: it stands above them."""
    return tuple(message.removeprefix(f"{source}: ") for message in messages)

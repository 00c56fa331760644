"""The concepts of a network's classes: a WordTree with a column of logits for each of its nodes.

A network with a tree has it already: 9k.tree and 9k.names. The classes of a flat label set become the leaves of a tree
of two levels, under "physical entity", WordNet's concept of all that a camera can see: so an answer is a class where
one is likely enough, and "physical entity" where none is.

Labels have WordNet ids where these are known: for COCO and PASCAL VOC those of darknet's coco9k.map, for ImageNet-1k
darknet's imagenet.labels.list, else where the label file says them. Other labels have an id made of their name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model.files.text import read_text
from model.tree_files import packaged_tree
from model.wordtree import WordTree
from training.darknet.errors import InvalidLabelsError

FOLDER: Final = Path(__file__).with_name("labels")
KNOWN_SETS: Final = ("coco", "voc", "imagenet1k")
LARGEST_FILE: Final = 1 << 24  # bytes
WNID: Final = re.compile(r"n\d{8}")
ROOT: Final = "n00001930"  # WordNet 3.0: physical entity
ROOT_NAME: Final = "physical entity"
ROOT_DEFINITION: Final = "an entity that has physical existence"


@dataclass(frozen=True)
class Labels:
    """Flat labels: a name and an id for each class, in the network's order. No id stands twice."""

    names: tuple[str, ...]
    wnids: tuple[str, ...]

    def two_level_tree(self) -> WordTree:
        """Return the tree with the root first and the labels below it, in their order."""
        packaged = packaged_tree()
        synonyms: list[tuple[str, ...]] = [()]
        definitions = [ROOT_DEFINITION]
        for name, wnid in zip(self.names, self.wnids, strict=True):
            node = packaged.index(wnid) if wnid in packaged else None
            words = () if node is None else (packaged.names[node], *packaged.synonyms[node])
            synonyms.append(tuple(word for word in words if word != name))
            definitions.append("" if node is None else packaged.definitions[node])
        parents = [-1, *[0] * len(self.names)]
        return WordTree((ROOT, *self.wnids), parents, (ROOT_NAME, *self.names), synonyms, definitions)


def known_labels(name: str) -> Labels:
    """Return one of `KNOWN_SETS`."""
    names, wnids = zip(*(line.split("\t") for line in _lines(FOLDER / f"{name}.tsv")), strict=True)
    return Labels(names, wnids)


def read_labels(path: Path, names: Path | None = None) -> Labels:
    """Read a label file: a line for each class with its name, its WordNet id, or both with a tab between.

    Args:
        path: the file.
        names: a file with the names line by line, where `path` has ids alone.

    Raises:
        InvalidLabelsError: a file cannot be read, or an id stands twice.
    """
    rows = [line.split("\t") for line in _lines(path)]
    for number, row in enumerate(rows, start=1):
        if len(row) > 2 or (len(row) == 2 and not WNID.fullmatch(row[1].strip())):
            raise InvalidLabelsError(f"{path}, line {number}: is neither a name, nor a name, a tab and a WordNet id")
    written = [row[0].strip() for row in rows]
    ids = [row[-1].strip() if WNID.fullmatch(row[-1].strip()) else "" for row in rows]
    if names is not None:
        shown = _lines(names)
        if len(shown) != len(rows):
            raise InvalidLabelsError(f"{names}: has {len(shown)} names for the {len(rows)} labels of {path}")
    else:
        packaged = packaged_tree()
        shown = [packaged.names[packaged.index(name)] if name in packaged else name for name in written]
    if not any(ids):
        ids = list(_known_ids(written))
    return Labels(tuple(shown), _unique(path, shown, ids))


def _known_ids(written: Sequence[str]) -> Sequence[str]:
    """Return the ids of a published label set, or none where these are other labels."""
    for name in KNOWN_SETS:
        labels = known_labels(name)
        if labels.names == tuple(written):
            return labels.wnids
    return [""] * len(written)


def _unique(path: Path, names: Sequence[str], ids: Sequence[str]) -> tuple[str, ...]:
    """Fill in ids made of the names; refuse a WordNet id that stands twice."""
    taken = {ROOT: 0}
    for number, wnid in enumerate(ids, start=1):
        if wnid and wnid in taken:
            raise InvalidLabelsError(f"{path}, line {number}: {wnid} is the root's, or stands in an earlier line too")
        if wnid:
            taken[wnid] = number
    result = []
    for number, (name, wnid) in enumerate(zip(names, ids, strict=True), start=1):
        made = wnid or "label-" + (re.sub(r"[\W_]+", "-", name.casefold()).strip("-") or str(number))
        if not wnid and made in taken:
            made = f"{made}-{number}"
        taken[made] = number
        result.append(made)
    return tuple(result)


def read_tree(path: Path, names: Path | None) -> WordTree:
    """Read darknet's tree file (a line for each node: its id and its parent's number, -1 for none), and its names.

    The published 9k.tree gives the packaged tree, with WordNet's names, synonyms and definitions.

    Raises:
        InvalidLabelsError: a file cannot be read or does not hold a tree.
    """
    wnids, parents = [], []
    for number, line in enumerate(_lines(path), start=1):
        fields = line.split()
        if len(fields) != 2 or not re.fullmatch(r"-?\d{1,9}", fields[1]):
            raise InvalidLabelsError(f"{path}, line {number}: is not an id and its parent's number")
        wnids.append(fields[0])
        parents.append(int(fields[1]))
    shown = wnids if names is None else _lines(names)
    try:
        tree = WordTree(wnids, parents, shown)
    except ValueError as error:
        raise InvalidLabelsError(f"{path}: {error}") from error
    return packaged_tree() if tree.digest == packaged_tree().digest else tree


def _lines(path: Path) -> list[str]:
    """Return a file's lines; blank ones may only stand at its end."""
    try:
        if not path.is_file():
            raise InvalidLabelsError(f"{path}: there is no such file")
        if path.stat().st_size > LARGEST_FILE:
            raise InvalidLabelsError(f"{path}: {path.stat().st_size} bytes are too many for a list of names")
        text = read_text(path)
    except OSError as error:
        raise InvalidLabelsError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InvalidLabelsError(f"{path}: is not text") from error
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if not lines:
        raise InvalidLabelsError(f"{path}: is empty")
    if "" in lines:
        raise InvalidLabelsError(f"{path}, line {lines.index('') + 1}: is blank")
    return lines

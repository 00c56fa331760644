"""The labels a WordTree is asked for: from a text file, a folder of synset folders, or COCO JSON.

A text file has a label a line; empty lines and what follows a # are nothing. A line is one of

    n02508021               a concept of WordNet
    n02508021 raccoon       the same, with the name that a data set has for it
    garden gnome            a label of one's own, which WordNet does not have: its id is garden_gnome
    garden gnome<TAB>n04157320   the same, as a kind of that concept
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model.files.text import read_text
from training.data.formats.detection_set import InvalidDatasetError

WNID: Final = re.compile(r"n\d{8}")


def is_wnid(node: str) -> bool:
    """Tell whether an id has the form of a wnid, so that WordNet should have it."""
    return WNID.fullmatch(node) is not None


@dataclass(frozen=True)
class Label:
    """One label.

    Attributes:
        node: its id in the tree: a wnid, or for a label of one's own its name with _ for white space.
        name: what the data set calls it; "" where it does not say.
        parent: the wnid of what a label of one's own is a kind of; None where that is not said.
        place: where it was read, for messages.
    """

    node: str
    name: str
    parent: str | None
    place: str

    @property
    def own(self) -> bool:
        """Whether WordNet does not have it."""
        return not is_wnid(self.node)


def own_node(name: str) -> str:
    """Return the id of a label of one's own: a tree's ids have no white space."""
    return "_".join(name.split())


def read_labels(path: Path) -> tuple[Label, ...]:
    """Read the labels of a file or a folder; one that stands twice is one label.

    Args:
        path: a folder of folders named by label, COCO JSON (*.json) or a text file.

    Raises:
        InvalidDatasetError: it cannot be read, names nothing, or names one id in two ways; with the line or record.
    """
    if path.is_dir():
        found = _of_folder(path)
    else:
        try:
            content = read_text(path)
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidDatasetError(f"{path}: the labels cannot be read ({error}); give a text file") from error
        found = _of_coco(path, content) if path.suffix.lower() == ".json" else _of_text(path, content)
    labels = _once_each(found)
    if not labels:
        raise InvalidDatasetError(f"{path}: names no label; give a label on each line, such as n02084071 dog")
    return labels


def _once_each(found: Iterable[Label]) -> tuple[Label, ...]:
    labels: dict[str, Label] = {}
    for label in found:
        first = labels.setdefault(label.node, label)
        if first.own and (first.name, first.parent) != (label.name, label.parent):
            raise InvalidDatasetError(
                f"{label.place}: {label.node!r} stands at {first.place} already, otherwise; name them apart, or alike"
            )
    return tuple(labels.values())


def _of_folder(folder: Path) -> list[Label]:
    return [_label(path.name, str(path)) for path in sorted(folder.iterdir()) if path.is_dir()]


def _of_text(path: Path, content: str) -> list[Label]:
    labels = []
    for number, line in enumerate(content.splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if text:
            labels.append(_label(text, f"{path}, line {number}"))
    return labels


def _of_coco(path: Path, content: str) -> list[Label]:
    try:
        categories = json.loads(content)["categories"]
        records = [(record.get("wnid") or "", record["name"]) for record in categories]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidDatasetError(
            f"{path}: not COCO JSON: `categories` must be a list of records with a `name` and, if they are concepts of "
            f"WordNet, a `wnid`"
        ) from error
    return [
        _label(f"{wnid} {name}" if wnid else str(name), f"{path}, categories[{number}]")
        for number, (wnid, name) in enumerate(records)
    ]


def _label(text: str, place: str) -> Label:
    first, _, rest = text.partition(" ") if "\t" not in text else text.partition("\t")
    if is_wnid(first):
        return Label(first, " ".join(rest.split()), None, place)
    name, _, parent = (part.strip() for part in text.partition("\t"))
    if parent and not is_wnid(parent):
        raise InvalidDatasetError(
            f"{place}: {parent!r} is not a WordNet id; after the tab comes what the label is a kind of, as n00021939"
        )
    return Label(own_node(name), " ".join(name.split()), parent or None, place)

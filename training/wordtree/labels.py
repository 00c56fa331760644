"""The labels a WordTree is asked for: from a text file, a CSV file, a folder of synset folders, or COCO JSON.

A text file has a label a line; empty lines and what follows a # are nothing. A line is one of

    n02508021               a concept of WordNet
    n02508021 raccoon       the same, with the name that a data set has for it
    garden gnome            a label of one's own, which WordNet does not have: its id is garden_gnome
    garden gnome<TAB>n04157320   the same, as a kind of that concept

A CSV file is a hierarchy of one's own. Its first line is `label,parent`; a parent is another label, a concept of
WordNet, or empty:

    label,parent
    Volvo,car
    V70,Volvo
"""

import csv
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
        parent: the id of what a label of one's own is a kind of, a wnid or another such label's; None where that is not
            said.
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
        path: a folder of folders named by label, COCO JSON (*.json), a hierarchy (*.csv) or a text file.

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
        read = {".json": _of_coco, ".csv": _of_csv}.get(path.suffix.lower(), _of_text)
        found = read(path, content)
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


def _of_csv(path: Path, content: str) -> list[Label]:
    rows = csv.reader(content.splitlines())
    head = [cell.strip().casefold() for cell in next(rows, [])]
    if head != ["label", "parent"]:
        raise InvalidDatasetError(f"{path}, line 1: is {','.join(head)!r}; the first line must be label,parent")
    labels: list[Label] = []
    above: dict[str, Label] = {}
    for cells in rows:
        place = f"{path}, line {rows.line_num}"
        if not any(cell.strip() for cell in cells):
            continue
        name, parent = (" ".join(cell.split()) for cell in (*cells, "")[:2])
        if len(cells) > 2 or not name:
            raise InvalidDatasetError(
                f"{place}: {','.join(cells)!r} must be a label, a comma and its parent, or nothing"
            )
        if is_wnid(name):
            if parent:
                raise InvalidDatasetError(
                    f"{place}: {name} is a concept of WordNet, which knows its parents; leave it out"
                )
            labels.append(Label(name, "", None, place))
        else:
            labels.append(Label(own_node(name), name, own_node(parent) if parent else None, place))
            if parent:
                above.setdefault(
                    own_node(parent), Label(own_node(parent), "" if is_wnid(parent) else parent, None, place)
                )
    named = {label.node for label in labels}
    # What is only a parent is a label, too: the root of its part of the hierarchy.
    labels += [label for node, label in above.items() if node not in named]
    _refuse_circles(labels)
    return labels


def _refuse_circles(labels: list[Label]) -> None:
    parents = {label.node: label.parent for label in labels}
    for label in labels:
        above, node = [label.node], label.parent
        while node is not None and node not in above:
            above.append(node)
            node = parents.get(node)
        if node == label.node:
            circle = " < ".join([*above, node])
            raise InvalidDatasetError(f"{label.place}: {label.name!r} is a kind of itself: {circle}")


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

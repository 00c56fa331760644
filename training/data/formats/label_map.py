"""Which node of the tree each class name of a data set stands for.

A label map is a text file with a line for each class: the node's id, then the name that the data set uses.

    n02508021 raccoon
    n04490091 lorry      # empty lines and what follows a # are nothing

Without one, a class is found by itself only where its name is a node's id: names are ambiguous.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from model.files.text import read_text
from model.wordtree import WordTree
from training.data.formats.detection_set import Category, InvalidDatasetError, some_of

logger = logging.getLogger(__name__)


def read_label_map(path: Path) -> dict[str, str]:
    """Return the id of each class name.

    Raises:
        InvalidDatasetError: it cannot be read, a line has no name, or a name stands twice; it names the line.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDatasetError(f"{path}: the label map cannot be read ({error}); give a text file") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        node, _, name = line.partition("#")[0].strip().partition(" ")
        name = " ".join(name.split())
        if node and not name:
            raise InvalidDatasetError(
                f"{path}, line {number}: {node!r} stands alone; a line is a WordNet id and a name, as n02084071 dog"
            )
        if node and found.setdefault(name, node) != node:
            raise InvalidDatasetError(f"{path}, line {number}: {name!r} is {found[name]} already; keep one of the two")
    return found


def categories_of(
    names: Sequence[str],
    tree: WordTree,
    label_map: Mapping[str, str] | None,
    source: Path,
    *,
    used: Collection[str] | None = None,
) -> dict[str, Category]:
    """Return the category of each class name, without the classes that have neither a node nor a box.

    Args:
        names: what the data set calls its classes.
        tree: what they must be nodes of.
        label_map: see `read_label_map`.
        source: the file that the names come from, for messages.
        used: the classes that have boxes; None: all.

    Raises:
        InvalidDatasetError: a class with boxes has no node; the message has the lines that a label map lacks.
    """
    known = label_map or {}
    nodes = {name: known.get(name, "_".join(name.split())) for name in names}
    without = [name for name, node in nodes.items() if node not in tree]
    lost = [name for name in without if used is None or name in used]
    if without and not lost:
        logger.info("%s: left out the classes %s: they have no boxes and no node", source, some_of(without))
    if lost:
        raise InvalidDatasetError(
            f"{source}: the tree of {len(tree)} concepts has no node for {some_of(lost)}; write a label map with a "
            f"line for each, such as {'; '.join(_suggestion(name, known, tree) for name in lost[:3])}"
        )
    return {name: Category(name, node, tree.index(node)) for name, node in nodes.items() if node in tree}


def _suggestion(name: str, known: Mapping[str, str], tree: WordTree) -> str:
    found = tree.search(name)
    if name in known:
        return f"'WNID {name}' instead of {known[name]}"
    return f"'{tree.wnids[found[0]]} {name}'" if len(found) else f"'WNID {name}' (yolo9000 classes searches)"

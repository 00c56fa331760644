"""Which node of the tree each class name of a data set stands for.

A label map is a text file with a line for each class: the node's id, then the name that the data set uses.

    n02508021 raccoon
    n04490091 lorry      # empty lines and what follows a # are nothing

Without one, a class is found by itself where its name is a node's id or the name of one concept alone. Many names are
ambiguous: a cat may be a pet or a guy.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from model.files.text import read_text
from model.wordtree import NamedConcept, WordTree
from training.data.formats.detection_set import Category, InvalidDatasetError, Refuse, refuse_set, some_of

logger = logging.getLogger(__name__)

UNCLEAR_AT_MOST: Final = 3
"""Class names that a message explains."""


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


def known_names(path: Path | None) -> dict[str, str] | None:
    """Return what a label map says, None where none is given; see `read_label_map`."""
    return None if path is None else read_label_map(path)


def meanings(
    names: Sequence[str], tree: WordTree, label_map: Mapping[str, str] | None
) -> dict[str, tuple[NamedConcept, ...]]:
    """Return the concepts that each class name may stand for: one where that is clear, none where nothing fits.

    What the label map says counts, then a name that is a node's id, then the concepts of this name.
    """
    return {name: _meanings(name, tree, label_map or {}) for name in names}


def _meanings(name: str, tree: WordTree, label_map: Mapping[str, str]) -> tuple[NamedConcept, ...]:
    given = label_map.get(" ".join(name.split()))
    node = given or "_".join(name.split())
    if node in tree:
        place = tree.index(node)
        return (NamedConcept(node, tree.names[place], tree.definitions[place]),)
    return () if given else tree.named(name.replace("_", " "))


def categories_of(
    names: Sequence[str],
    tree: WordTree,
    label_map: Mapping[str, str] | None,
    source: Path,
    *,
    used: Collection[str] | None = None,
    refuse: Refuse = refuse_set,
) -> dict[str, Category]:
    """Return the category of each class name, without the classes that have neither a node nor a box.

    Args:
        names: what the data set calls its classes.
        tree: what they must be nodes of.
        label_map: see `read_label_map`.
        source: the file that the names come from, for messages.
        used: the classes that have boxes; None: all.
        refuse: what to do about classes with boxes whose node is not clear; if it returns, they get a category without.

    Raises:
        InvalidDatasetError: a class with boxes has no node, or may have several; the message says which.
    """
    known = label_map or {}
    found = meanings(names, tree, known)
    clear = {name: concepts[0] for name, concepts in found.items() if len(concepts) == 1}
    without = [name for name in found if name not in clear]
    lost = [name for name in without if used is None or name in used]
    if lost:
        refuse(
            InvalidDatasetError(
                f"{source}: {len(lost)} of {len(found)} class names are no one concept of the tree: "
                f"{'; '.join(_unclear(name, found[name], known) for name in lost[:UNCLEAR_AT_MOST])}"
                f"{'; ...' if len(lost) > UNCLEAR_AT_MOST else ''}. Write a label map with a line for each, such as "
                f"'{found[lost[0]][0].wnid if found[lost[0]] else 'WNID'} {lost[0]}'; `look --label-map-out` begins one"
            )
        )
    if left_out := [name for name in without if name not in lost]:
        logger.info("%s: left out the classes %s: they have no boxes and no node", source, some_of(left_out))
    by_name = [name for name, one in clear.items() if name not in known and one.wnid != "_".join(name.split())]
    if by_name:
        taken = some_of([f"{name} is {_told(clear[name])}" for name in by_name])
        logger.warning("%s: took %d classes for the concepts of their names: %s", source, len(by_name), taken)
    categories = {name: Category(name, one.wnid, tree.index(one.wnid)) for name, one in clear.items()}
    return categories | {name: Category(name, "", -number) for number, name in enumerate(lost, start=1)}


def label_map_of(names: Sequence[str], tree: WordTree, label_map: Mapping[str, str] | None) -> str:
    """Return a label map of these classes to correct: a line for those that are clear, and what the others may be.

    Args:
        names: of the classes.
        tree: of their concepts.
        label_map: what is known of them.
    """
    lines = ["# A WordNet id and the data set's name for it on each line; what follows a # counts for nothing."]
    for name, concepts in meanings(list(dict.fromkeys(names)), tree, label_map).items():
        shown = " ".join(name.split())
        if len(concepts) == 1:
            lines.append(f"{concepts[0].wnid} {shown}    # {_explained(concepts[0])}")
        elif concepts:
            lines.append(f"# {shown} may be any of these; take the first # away from the right line:")
            lines += [f"# {one.wnid} {shown}    # {_explained(one)}" for one in concepts]
        else:
            lines.append(
                f"# {shown} is the name of no concept; `yolo9000 classes` searches. Put its id in and take the # away:"
            )
            lines.append(f"# WNID {shown}")
    return "\n".join(lines) + "\n"


def _explained(concept: NamedConcept) -> str:
    return f"{concept.name}{f': {concept.definition}' if concept.definition else ''}"


def _unclear(name: str, concepts: Sequence[NamedConcept], label_map: Mapping[str, str]) -> str:
    """Say what is not clear about a class name."""
    if name in label_map:
        return f"{name!r} is {label_map[name]} in the label map, which the tree lacks"
    if not concepts:
        return f"{name!r} is the name of none (`yolo9000 classes` searches)"
    return f"{name!r} may be {' or '.join(_told(one) for one in concepts)}"


def _told(concept: NamedConcept) -> str:
    return f"{concept.wnid} ({_explained(concept)})"

"""The concepts that somebody wants to teach: `CONCEPT=PICTURES` on the command line."""

from collections.abc import Sequence
from typing import NamedTuple

from model.wordtree import UnknownConceptError, WordTree
from training.command_line import ConfigurationError
from training.teaching.file.grown_tree import NewConcept
from training.wordtree.labels import own_node

FORM = 'give a WordNet id and its pictures, as n02966545=photos/hammers, or "garden gnome<n03169390=photos/gnomes"'


class Asked(NamedTuple):
    """A concept and where its pictures are."""

    concept: NewConcept
    place: str


def read_asked(given: str, tree: WordTree, known: Sequence[NewConcept]) -> Asked:
    """Read one concept of the command line.

    Args:
        given: WNID=PLACE, NAME=PLACE or NAME<PARENT=PLACE; PARENT is an id or a name.
        tree: of the model that learns.
        known: new concepts that were taught or asked for before; each may be a parent.

    Raises:
        ConfigurationError: it cannot be read, or names no concept.
    """
    left, equals, place = given.partition("=")
    name, less, parent = (part.strip() for part in left.partition("<"))
    if not (equals and name and place.strip()) or (less and not parent):
        raise ConfigurationError(f"concept: {given!r} cannot be read; {FORM}")
    if not less:
        return Asked(_of_tree(_wnid_of(name, tree, known), tree, known), place.strip())
    above = _wnid_of(parent, tree, known)
    wnid = own_node(name)
    if wnid in tree or any(one.wnid == wnid for one in known):
        raise ConfigurationError(f"concept: there is {wnid!r} in the tree already; name yours otherwise")
    return Asked(NewConcept(wnid, " ".join(name.split()), above, ""), place.strip())


def _of_tree(wnid: str, tree: WordTree, known: Sequence[NewConcept]) -> NewConcept:
    for one in known:
        if one.wnid == wnid:
            return one
    node = tree.index(wnid)
    if tree.parents[node] < 0:
        raise ConfigurationError(
            f"concept: {wnid} ({tree.names[node]}) is a root of the tree; teach a concept below it"
        )
    return NewConcept(wnid, tree.names[node], tree.wnids[tree.parents[node]], tree.definitions[node])


def _wnid_of(given: str, tree: WordTree, known: Sequence[NewConcept]) -> str:
    """Return the id of a concept that is given by id or by name."""
    for one in known:
        if given in (one.wnid, one.name):
            return one.wnid
    if given in tree:
        return given
    try:
        tree.index(given)
    except UnknownConceptError as error:
        if len(error.named) == 1:
            return error.named[0].wnid
        if error.named:
            raise ConfigurationError(f"concept: {given!r} may be one of several. {error}") from error
        raise ConfigurationError(
            f"concept: there is no concept {given!r}; for one of your own name what it is a kind of, as "
            f'"{given}<n00021939"'
        ) from error
    raise AssertionError("the tree has it")

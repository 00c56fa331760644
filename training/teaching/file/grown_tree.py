"""A WordTree with further concepts in it."""

from collections.abc import Sequence
from typing import NamedTuple

from model.wordtree import WordTree


class NewConcept(NamedTuple):
    """A concept to put into a tree: its id, its name, the id of its parent, its definition."""

    wnid: str
    name: str
    parent: str
    definition: str


def grow(tree: WordTree, concepts: Sequence[NewConcept]) -> WordTree:
    """Return the tree with these concepts, each behind its parent's other children.

    The old nodes stay in their order. A parent's first child makes a sibling group at the end of the tree.

    Args:
        tree: stays as it is.
        concepts: a parent is in the tree or comes before its children.

    Raises:
        UnknownConceptError: a parent is neither.
    """
    order, parent_of = list(tree.wnids), {}
    texts = {
        wnid: (tree.names[node], tree.synonyms[node], tree.definitions[node]) for node, wnid in enumerate(tree.wnids)
    }
    last_child: dict[str, str] = {}
    for node, wnid in enumerate(tree.wnids):
        if tree.parents[node] >= 0:
            parent_of[wnid] = tree.wnids[tree.parents[node]]
            last_child[parent_of[wnid]] = wnid
    for concept in concepts:
        if concept.parent not in texts:
            tree.index(concept.parent)  # raises
        before = last_child.get(concept.parent)
        order.insert(len(order) if before is None else order.index(before) + 1, concept.wnid)
        last_child[concept.parent], parent_of[concept.wnid] = concept.wnid, concept.parent
        texts[concept.wnid] = (concept.name, (), concept.definition)
    place = {wnid: node for node, wnid in enumerate(order)}
    return WordTree(
        order,
        [place[parent_of[wnid]] if wnid in parent_of else -1 for wnid in order],
        *zip(*(texts[wnid] for wnid in order), strict=True),
    )

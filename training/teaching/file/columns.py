"""Which class logits a taught model has, and what they mean together with the old ones."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.answers.walk import absolute_probabilities
from model.metadata import ModelMetadata
from model.wordtree import WordTree
from training.teaching.file.grown_tree import NewConcept, grow
from training.wordtree.labels import own_node

Floats = NDArray[np.float32]

OTHERS: Final = "A {name} of none of the kinds that the model was taught."


class Columns(NamedTuple):
    """Where the class logits of a taught model come from.

    Attributes:
        width: how many class logits the old model has.
        tree: the trained nodes, new ones among them: column j of the new logits is its node j's.
        old: int64 [T'], the column of the old logits of each node; -1 if it has none.
        others: the nodes that stand for all other kinds of their parent. Where the old model has a logit of the parent,
            such a node has what that model gives the parent; where the parent is taught, what it is taught with.
        new: the node of each taught concept, in order.
        lowest: down to which node the probability of each taught concept goes: its own, or the one for its other kinds.
    """

    width: int
    tree: WordTree
    old: NDArray[np.int64]
    others: tuple[int, ...]
    new: tuple[int, ...]
    lowest: tuple[int, ...]


class Curriculum(NamedTuple):
    """The tree of a taught model.

    Attributes:
        tree: the whole.
        columns: of the class logits.
        trained: int32 [T'], the node of the whole tree of each class logit.
        unending: wnids that no answer ends at: `ModelMetadata.others`.
    """

    tree: WordTree
    columns: Columns
    trained: NDArray[np.int32]
    unending: frozenset[str]


def plan(base: ModelMetadata, concepts: Sequence[NewConcept], forgotten: Sequence[str]) -> Curriculum:
    """Lay out the class logits of a model that is taught these concepts and forgets those.

    Args:
        base: of the model before.
        concepts: those of the tree and new ones; none that the model has class logits for, unless it forgets them.
        forgotten: wnids of trained nodes.
    """
    tree = base.tree
    kept = _kept(base, forgotten)
    whole = grow(tree, [concept for concept in concepts if concept.wnid not in tree])
    taught = {whole.wnids[node] for concept in concepts for node in whole.path(whole.index(concept.wnid))} - kept
    unending, added = set[str](), list[NewConcept]()
    for wnid in sorted(taught, key=whole.index):
        above = whole.wnids[whole.parents[whole.index(wnid)]] if whole.parents[whole.index(wnid)] >= 0 else None
        if above is None or any(one.parent == above for one in added):
            continue
        if above not in kept and all(concept.wnid != above for concept in concepts):
            continue  # nothing but its taught kinds is known of it
        siblings = [whole.wnids[child] for child in whole.children(whole.index(above)) if whole.wnids[child] in kept]
        if not siblings:
            added.append(_others(whole, above))
        elif len(siblings) == 1 and base.unproven[np.searchsorted(base.trained, tree.index(siblings[0]))]:
            unending.add(siblings[0])  # until now it stood for all kinds of its parent, and still does
    whole = grow(whole, added)
    unending |= {one.wnid for one in added}
    trained = np.array(sorted(whole.index(wnid) for wnid in kept | taught | unending), np.int32)
    subset = whole.subset(trained.tolist())
    columns = {tree.wnids[node]: column for column, node in enumerate(base.trained)}
    old = [columns[wnid] if wnid in kept else -1 for wnid in subset.wnids]
    others = {one.parent: one.wnid for one in added}
    return Curriculum(
        whole,
        Columns(
            len(base.trained),
            subset,
            np.array(old, np.int64),
            tuple(subset.index(one.wnid) for one in added),
            tuple(subset.index(concept.wnid) for concept in concepts),
            tuple(subset.index(others.get(concept.wnid, concept.wnid)) for concept in concepts),
        ),
        trained,
        frozenset(unending),
    )


def _kept(base: ModelMetadata, forgotten: Sequence[str]) -> set[str]:
    """Return the wnids that keep their class logits: no forgotten ones, and no parents that had only their pictures."""
    tree = base.tree
    kept = {tree.wnids[node] for node in base.trained} - set(forgotten)
    labelled = {tree.wnids[node] for node in base.labelled}
    for wnid in forgotten:
        node = int(tree.parents[tree.index(wnid)])
        while node >= 0 and tree.wnids[node] not in labelled:
            if any(tree.wnids[child] in kept for child in tree.children(node)):
                break
            kept.discard(tree.wnids[node])
            node = int(tree.parents[node])
    return kept


def _others(tree: WordTree, parent: str) -> NewConcept:
    """Return the concept for all other kinds of a parent."""
    name = tree.names[tree.index(parent)]
    wnid = own_node(f"another {name}")
    while wnid in tree:
        wnid += "_"
    return NewConcept(wnid, f"another {name}", parent, OTHERS.format(name=name))


def mixed_probabilities(columns: Columns, logits: Floats, chances: Floats) -> Floats:
    """Return the absolute probability of every node of a taught model, float32 [N, T'].

    `training.teaching.file.graph` puts the same into the model file, and says why.

    Args:
        columns: of the taught model.
        logits: the old class logits [N, T].
        chances: P(none of the concepts) and P(each concept), [N, 1 + C].
    """
    had = np.flatnonzero(columns.old >= 0)
    before = np.zeros((len(logits), len(columns.tree)), np.float32)
    before[:, had] = absolute_probabilities(columns.tree.subset(had.tolist()), logits[:, columns.old[had]])
    for node in columns.others:
        before[:, node] = before[:, columns.tree.parents[node]]
    found = chances[:, :1] * before
    for place, node in enumerate(columns.lowest, start=1):
        found[:, list(columns.tree.path(node))] += chances[:, place : place + 1]
    return found


def ends(columns: Columns, probabilities: Floats, threshold: float = 0.5) -> NDArray[np.int32]:
    """Return where a walk down probabilities [N, T'] ends: what a box is called, int32 [N]."""
    tree = columns.tree
    labels = np.zeros(len(probabilities), np.int32)
    for row, given in enumerate(probabilities):
        children, node = tree.roots, -1
        while len(children):
            best = children[int(given[list(children)].argmax())]
            if best in columns.others or (node >= 0 and given[best] < threshold):
                break
            node, children = best, tree.children(best)
        labels[row] = node
    return labels

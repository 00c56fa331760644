"""From labels to a WordTree: grown out of WordNet, trimmed, labels of one's own joined on, in a fixed order."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from model.wordtree import WordTree
from training.data.formats.detection_set import InvalidDatasetError
from training.wordtree.build import Parents, grow, trim
from training.wordtree.labels import Label, is_wnid
from training.wordtree.wordnet import WordNet


def assemble(
    labels: Sequence[Label], wordnet: WordNet, *, without: Collection[str], contract: bool, own_root: str
) -> WordTree:
    """Build the tree of some labels.

    Siblings stand in the order of their ids, and levels one after another: equal labels give equal trees, in whatever
    order they are given.

    Args:
        labels: what the tree must hold.
        wordnet: where concepts, their names and their paths come from.
        without, contract: see `trim`; what a label names or hangs on stays.
        own_root: id of the root above labels of one's own that name no parent: a word, or a wnid. It is left out where
            there is one such label and it is the parent of others.

    Raises:
        InvalidDatasetError: a label's wnid is not in WordNet.
        ConfigurationError: WordNet's file is damaged.
    """
    for label in labels:
        for wnid in (label.node, label.parent):
            if wnid is not None and is_wnid(wnid) and wnid not in wordnet:
                raise InvalidDatasetError(
                    f"{label.place}: {wnid} is not a noun of WordNet 3.0; correct the id, or leave it out to make the "
                    f"label one of your own"
                )
    own = [label for label in labels if label.own]
    concepts = {label.node for label in labels if not label.own}
    concepts |= {label.parent for label in own if label.parent is not None and is_wnid(label.parent)}
    orphans = [label for label in own if label.parent is None]
    top = _own_top(orphans, own, own_root)
    orphans = [label for label in orphans if label is not top]
    if orphans and is_wnid(own_root):
        concepts.add(own_root)
    parents = trim(grow(concepts, wordnet.hypernyms), concepts, without, contract)
    if orphans:
        parents.setdefault(own_root, None)
    for label in own:
        if label.node in parents:
            raise InvalidDatasetError(
                f"{label.place}: {label.node!r} is the root of such labels; give another own-root"
            )
        parents[label.node] = None if label is top else label.parent or own_root
    return _in_order(parents, labels, wordnet)


def _own_top(orphans: Sequence[Label], own: Sequence[Label], root: str) -> Label | None:
    """Return the one label of one's own that all others hang on, so that no root need be put above it."""
    alone = len(orphans) == 1 and not is_wnid(root)
    return orphans[0] if alone and any(label.parent == orphans[0].node for label in own) else None


def _in_order(parents: Parents, labels: Sequence[Label], wordnet: WordNet) -> WordTree:
    children: dict[str | None, list[str]] = defaultdict(list)
    for node in sorted(parents):
        children[parents[node]].append(node)
    order = list(children[None])
    for node in order:  # grows on the way: level by level
        order.extend(children[node])
    place = {node: number for number, node in enumerate(order)}
    given = {label.node: label.name for label in labels}
    names, synonyms, definitions = [], [], []
    for node in order:
        own = not is_wnid(node)
        words = () if own else wordnet.synset(node).words
        texts = list(dict.fromkeys(filter(None, (*words, given.get(node, node if own else "")))))
        names.append(texts[0])
        synonyms.append(texts[1:])
        definitions.append("" if own else wordnet.synset(node).definition)
    above = [parents[node] for node in order]
    return WordTree(order, [-1 if parent is None else place[parent] for parent in above], names, synonyms, definitions)

"""The rule by which the paper grows a tree out of WordNet's graph (YOLO9000, section 4, "Hierarchical classification").

WordNet is a directed graph: a dog is both a canine and a domestic animal. A tree needs one path a concept. So:

1. Every label with a single path to the root is added, with that path.
2. Of all labels left, again and again, the one that can be added with the fewest new nodes is, by that path.

The paper says nothing of ties. Here the path that is shorter as a whole wins, then the one whose wnids, read from the
root, come first in order; so the tree does not depend on the order of the labels.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from training.command_line import ConfigurationError

Hypernyms = Callable[[str], tuple[str, ...]]
Parents = dict[str, str | None]
"""The parent of each node; None for a root."""

_Candidate = tuple[int, int, tuple[str, ...]]
"""A way to add a label: its number of new nodes, its length, and the whole path from the root."""


def grow(labels: Iterable[str], hypernyms: Hypernyms) -> Parents:
    """Return the tree of some labels and of the concepts on their paths.

    Args:
        labels: wnids, in any order.
        hypernyms: what a wnid is a kind of; () for a root.

    Raises:
        ConfigurationError: the hypernyms run in a circle.
    """
    wanted = sorted(set(labels))
    order = generals_first(wanted, hypernyms)
    paths_to_root: dict[str, int] = {}
    for concept in order:
        paths_to_root[concept] = sum(paths_to_root[above] for above in hypernyms(concept)) or 1
    tree = _Tree(hypernyms)
    for label in wanted:
        if paths_to_root[label] == 1:
            tree.add(_only_path(label, hypernyms))
    left = [label for label in wanted if label not in tree.parents]
    _add_cheapest_first(tree, left, {concept: place for place, concept in enumerate(order)}, hypernyms)
    return tree.parents


def generals_first(wanted: Iterable[str], hypernyms: Hypernyms) -> tuple[str, ...]:
    """Return the labels and all that they are kinds of, everything after its hypernyms."""
    graph: dict[str, tuple[str, ...]] = {}
    waiting = list(wanted)
    while waiting:
        concept = waiting.pop()
        if concept not in graph:
            graph[concept] = hypernyms(concept)
            waiting.extend(graph[concept])
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise ConfigurationError(f"wordnet: the hypernyms run in a circle: {' > '.join(error.args[1])}") from error


def _only_path(label: str, hypernyms: Hypernyms) -> tuple[str, ...]:
    path = [label]
    while above := hypernyms(path[-1]):
        path.append(above[0])
    return tuple(reversed(path))


class _Tree:
    """A tree that grows; every node keeps its path."""

    def __init__(self, hypernyms: Hypernyms) -> None:
        self.parents: Parents = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        self._hypernyms = hypernyms

    def add(self, path: tuple[str, ...]) -> list[str]:
        """Add what is new of a path from the root down; return it."""
        new = [place for place, concept in enumerate(path) if concept not in self.parents]
        for place in new:
            self.parents[path[place]] = path[place - 1] if place else None
            self._paths[path[place]] = path[: place + 1]
        return [path[place] for place in new]

    def cheapest(self, generals_first: Iterable[str], label: str) -> _Candidate:
        """Return the best way to add a label, given all that is above it and itself, generals first."""
        best: dict[str, _Candidate] = {}
        for concept in generals_first:
            path = self._paths.get(concept)
            if path is not None:
                # What is in the tree has its path already, whatever other hypernyms it has.
                best[concept] = (0, len(path), path)
            else:
                above = [best[general] for general in self._hypernyms(concept)] or [(0, 0, ())]
                new, length, path = min(above)
                best[concept] = (new + 1, length + 1, (*path, concept))
        return best[label]


def _add_cheapest_first(tree: _Tree, left: list[str], place: Mapping[str, int], hypernyms: Hypernyms) -> None:
    """Add the labels that have several paths.

    A label's cheapest way changes only when something above it joins the tree, so only those are looked at again.
    """
    above = {label: sorted(generals_first([label], hypernyms), key=place.__getitem__) for label in left}
    below: dict[str, list[str]] = defaultdict(list)
    for label, concepts in above.items():
        for concept in concepts:
            below[concept].append(label)
    cheapest = {label: tree.cheapest(above[label], label) for label in left}
    queue = [(candidate, label) for label, candidate in cheapest.items()]
    heapq.heapify(queue)
    while queue:
        candidate, label = heapq.heappop(queue)
        if cheapest.get(label) != candidate:
            continue  # added, or found a better way since
        added = tree.add(candidate[2])
        del cheapest[label]
        for changed in sorted({kind for concept in added for kind in below[concept]} & cheapest.keys()):
            cheapest[changed] = tree.cheapest(above[changed], changed)
            heapq.heappush(queue, (cheapest[changed], changed))


def trim(
    parents: Mapping[str, str | None], labels: Collection[str], without: Collection[str], contract: bool
) -> Parents:
    """Leave out concepts that no label names; what was beneath one moves up to what was above it.

    Args:
        parents: the tree.
        labels: what stays in any case.
        without: concepts to leave out, such as 'entity'.
        contract: leave out every concept with a single child, too: its probability would always be its child's.
    """
    kept = leave_out(parents, {concept for concept in without if concept not in labels})
    if not contract:
        return kept
    children = Counter(parent for parent in kept.values() if parent is not None)
    return leave_out(kept, {concept for concept in kept if children[concept] == 1 and concept not in labels})


def leave_out(parents: Mapping[str, str | None], left_out: Collection[str]) -> Parents:
    """Return the tree without some concepts; what was beneath one moves up to what was above it."""
    kept: Parents = {}
    for concept, parent in parents.items():
        while parent is not None and parent in left_out:
            parent = parents[parent]  # noqa: PLW2901 - climbs to the nearest that stays
        if concept not in left_out:
            kept[concept] = parent
    return kept

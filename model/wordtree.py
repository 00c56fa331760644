"""The WordTree: the concepts a detector can answer with, from 'object' down to 'Norfolk terrier'.

A node is known by its index, 0 to N - 1, and by its wnid: the letter n and the noun's offset in WordNet
3.0, such as 'n02084071'. Names are for people only; several nodes may share one. Nodes stand in an order
that makes tree operations slices: a parent comes before its children, and the children of one node are
adjacent. How the tree was built from WordNet: YOLO9000 (arXiv 1612.08242), section 4.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]
NodeArray = npt.NDArray[np.integer]
Nodes = int | NodeArray

MOST_NAMED = 20
"""Concepts that are offered where a name was given in the place of an id; no name of the packaged tree has more."""


@dataclass(frozen=True)
class NamedConcept:
    """A concept by its id, its name and its definition."""

    wnid: str
    name: str
    definition: str


class UnknownConceptError(LookupError):
    """A wnid that the tree does not hold.

    Attributes:
        wnid: what was given in its place.
        named: the concepts that have it for a name or a synonym.
    """

    def __init__(self, wnid: str, named: tuple[NamedConcept, ...] = ()) -> None:
        meant = "; ".join(f"{one.wnid} ({one.name}: {one.definition})" for one in named)
        hint = f" Concepts are given by WordNet id. Of this name there are: {meant}." if named else ""
        super().__init__(f"There is no concept {wnid!r} in the WordTree.{hint}")
        self.wnid = wnid
        self.named = named


class WordTree:
    """An immutable forest of N concepts; every array is read-only.

    Attributes:
        wnids: N unique ids.
        parents: int32 [N], the parent's index; -1 for a root.
        names, definitions: N strings for people; a name is never empty, a definition may be.
        synonyms: for each node its other names.
        depths: int32 [N]; 0 for a root.
        first_child, child_count: int32 [N]; the children of i are first_child[i] to first_child[i] +
            child_count[i], exclusive; both are 0 for a leaf.
        group_first, group_size: int32 [G]; the sibling groups, over each of which a softmax runs, in the
            order of their nodes. The roots are group 0.
        group_of: int32 [N], the group that a node belongs to.
        descendant_count: int32 [N], how many nodes lie below.
        roots: their indices, always 0 to R - 1.
        levels: the longest path's number of nodes, the greatest depth plus one.
    """

    def __init__(
        self,
        wnids: Sequence[str],
        parents: Sequence[int] | npt.NDArray[np.integer],
        names: Sequence[str] | None = None,
        synonyms: Sequence[Sequence[str]] | None = None,
        definitions: Sequence[str] | None = None,
    ) -> None:
        """Build the tree; names default to the wnids, synonyms and definitions to none.

        Raises:
            ValueError: the columns differ in length or are empty, a wnid is blank or stands twice, a parent
                comes after its child, or siblings are not adjacent.
        """
        self.wnids = tuple(wnids)
        self.names = self.wnids if names is None else tuple(names)
        self.synonyms = ((),) * len(self.wnids) if synonyms is None else tuple(map(tuple, synonyms))
        self.definitions = ("",) * len(self.wnids) if definitions is None else tuple(definitions)
        parent_list = [int(parent) for parent in parents]
        for column in (parent_list, self.names, self.synonyms, self.definitions):
            if len(column) != len(self.wnids):
                raise ValueError(f"{len(self.wnids)} wnids, but another column of the tree has {len(column)} entries.")
        self._index = {wnid: node for node, wnid in enumerate(self.wnids)}
        self._check_wnids()
        self._check_parents(parent_list)
        self._number(parent_list)

    def _check_wnids(self) -> None:
        if not self.wnids:
            raise ValueError("A WordTree needs at least one node.")
        for node, wnid in enumerate(self.wnids):
            if self._index[wnid] != node:
                raise ValueError(f"The wnid {wnid!r} stands twice in the tree.")
            # The digest and the files set wnids between white space.
            if not wnid or any(character.isspace() for character in wnid):
                raise ValueError(f"Node {node} has the wnid {wnid!r}; it must be a word without white space.")

    def _check_parents(self, parents: list[int]) -> None:
        closed: set[int] = set()
        previous = -1
        for node, parent in enumerate(parents):
            if not -1 <= parent < node:
                wnid = self.wnids[node]
                raise ValueError(f"Node {node} ({wnid}) has parent {parent}; it must be -1 or an earlier node.")
            if parent != previous:
                closed.add(previous)
                if parent in closed:
                    raise ValueError(f"The siblings of node {node} ({self.wnids[node]}) are not adjacent to it.")
                previous = parent

    def _number(self, parents: list[int]) -> None:
        """Derive everything that follows from the parents."""
        count = len(parents)
        depths, below = [0] * count, [0] * count
        for node, parent in enumerate(parents):
            if parent >= 0:
                depths[node] = depths[parent] + 1
        for node in range(count - 1, -1, -1):
            if parents[node] >= 0:
                below[parents[node]] += below[node] + 1
        # Depth-first numbers: a node's descendants are the numbers directly after its own, so one comparison
        # tells whether a node lies within another.
        tour, free, free_root = [0] * count, [0] * count, 0
        for node, parent in enumerate(parents):
            tour[node] = free[parent] if parent >= 0 else free_root
            free[node] = tour[node] + 1
            if parent >= 0:
                free[parent] += below[node] + 1
            else:
                free_root += below[node] + 1

        self.parents = _frozen(parents)
        self.depths = _frozen(depths)
        self.descendant_count = _frozen(below)
        self.levels = max(depths) + 1
        self._tour = _frozen(tour)
        starts = np.flatnonzero(np.diff(self.parents, prepend=-2))
        sizes = np.diff(starts, append=count)
        owners = self.parents[starts[1:]]
        first_child, child_count = np.zeros(count, np.int32), np.zeros(count, np.int32)
        first_child[owners], child_count[owners] = starts[1:], sizes[1:]
        self.first_child, self.child_count = _frozen(first_child), _frozen(child_count)
        self.group_first, self.group_size = _frozen(starts), _frozen(sizes)
        self.group_of = _frozen(np.repeat(np.arange(len(starts)), sizes))
        self.roots = range(int(sizes[0]))

    def __len__(self) -> int:
        return len(self.wnids)

    def __contains__(self, wnid: object) -> bool:
        return wnid in self._index

    def __repr__(self) -> str:
        return f"WordTree({len(self)} nodes, {len(self.roots)} roots, {self.levels} levels)"

    def index(self, wnid: str) -> int:
        """Return the index of a wnid.

        Raises:
            UnknownConceptError: the tree does not hold it.
        """
        try:
            return self._index[wnid]
        except KeyError:
            raise UnknownConceptError(wnid, self.named(wnid)) from None

    def children(self, node: int) -> range:
        """Return the indices of a node's direct children; none for a leaf."""
        first = int(self.first_child[node])
        return range(first, first + int(self.child_count[node]))

    def path(self, node: int) -> tuple[int, ...]:
        """Return the nodes from the root down to this one, both included."""
        path = []
        while node >= 0:
            path.append(int(node))
            node = int(self.parents[node])
        return tuple(reversed(path))

    @overload
    def is_within(self, node: int, ancestor: int) -> bool: ...
    @overload
    def is_within(self, node: NodeArray, ancestor: Nodes) -> BoolArray: ...
    @overload
    def is_within(self, node: int, ancestor: NodeArray) -> BoolArray: ...
    def is_within(self, node: Nodes, ancestor: Nodes) -> bool | BoolArray:
        """Tell whether a node is the ancestor itself or lies below it. Arrays of nodes broadcast."""
        steps = self._tour[node] - self._tour[ancestor]
        within: BoolArray = (steps >= 0) & (steps <= self.descendant_count[ancestor])
        return within if within.ndim else bool(within)

    @overload
    def same_lineage(self, a: int, b: int) -> bool: ...
    @overload
    def same_lineage(self, a: NodeArray, b: Nodes) -> BoolArray: ...
    @overload
    def same_lineage(self, a: int, b: NodeArray) -> BoolArray: ...
    def same_lineage(self, a: Nodes, b: Nodes) -> bool | BoolArray:
        """Tell whether two nodes lie on one line from a root to a leaf. Arrays of nodes broadcast."""
        return self.is_within(a, b) | self.is_within(b, a)

    def is_leaf(self, node: int) -> bool:
        """Tell whether a node has no children."""
        return bool(self.child_count[node] == 0)

    @functools.cached_property
    def leaves(self) -> IntArray:
        """The nodes without children, ascending."""
        return _frozen(np.flatnonzero(self.child_count == 0))

    @functools.cached_property
    def by_depth(self) -> tuple[IntArray, ...]:
        """The nodes of each depth, from the roots on, each ascending."""
        return tuple(_frozen(np.flatnonzero(self.depths == depth)) for depth in range(self.levels))

    def descendants(self, node: int) -> IntArray:
        """Return all nodes below this one, ascending; itself not included."""
        within = np.flatnonzero(self.is_within(np.arange(len(self)), node)).astype(np.int32)
        return within[1:]

    def closure(self, nodes: Iterable[int]) -> IntArray:
        """Return these nodes and all their ancestors, ascending and once each.

        Raises:
            IndexError: a node is not in the tree.
        """
        found: set[int] = set()
        for node in self._checked(nodes):
            while node >= 0 and node not in found:
                found.add(node)
                node = int(self.parents[node])  # noqa: PLW2901
        return np.array(sorted(found), np.int32)

    def subset(self, nodes: Iterable[int]) -> WordTree:
        """Return the tree of these nodes alone, in the order they have here.

        Raises:
            ValueError: there are none, or a node is given without its parent.
            IndexError: a node is not in the tree.
        """
        kept = np.array(sorted(set(self._checked(nodes))), np.int32)
        position = np.full(len(self) + 1, -2)
        position[-1] = -1  # where a root's parent, -1, points to
        position[kept] = np.arange(len(kept))
        parents = position[self.parents[kept]]
        if (parents == -2).any():
            orphan = self.wnids[kept[int(np.argmax(parents == -2))]]
            raise ValueError(f"The nodes hold {orphan}, but not its parent.")
        return WordTree(
            [self.wnids[node] for node in kept],
            parents,
            [self.names[node] for node in kept],
            [self.synonyms[node] for node in kept],
            [self.definitions[node] for node in kept],
        )

    def _checked(self, nodes: Iterable[int]) -> list[int]:
        checked = [int(node) for node in nodes]
        for node in checked:
            if not 0 <= node < len(self):
                raise IndexError(f"Node {node} is not in a tree of {len(self)} nodes.")
        return checked

    def search(self, query: str) -> IntArray:
        """Return the nodes that a text names, best first.

        Upper and lower case are the same. A name, synonym or wnid equal to the text comes first, then one
        that begins with it, then one that contains it; among these a name counts before synonyms and wnid,
        and then the tree's order decides, general before particular. A blank text names nothing.
        """
        text = " ".join(query.split()).casefold()
        if not text:
            return np.empty(0, np.int32)
        patterns = (f"\n\n{text}\n", f"\n{text}\n", f"\n\n{text}", f"\n{text}")
        found: list[tuple[int, int]] = []
        for node, labels in enumerate(self._labels):
            if text in labels:
                rank = next((rank for rank, pattern in enumerate(patterns) if pattern in labels), len(patterns))
                found.append((rank, node))
        return np.array([node for _, node in sorted(found)], np.int32)

    def named(self, name: str) -> tuple[NamedConcept, ...]:
        """Return the concepts that have a text for their name, a synonym or, but for its case, their wnid.

        They come in the order of `search`, at most `MOST_NAMED`.
        """
        label = f"\n{' '.join(name.split()).casefold()}\n"
        nodes = (node for node in self.search(name).tolist() if label in self._labels[node])
        return tuple(
            NamedConcept(self.wnids[node], self.names[node], self.definitions[node])
            for node in itertools.islice(nodes, MOST_NAMED)
        )

    @functools.cached_property
    def _labels(self) -> list[str]:
        """Each node's labels in lower case, a line each; two line ends mark the name."""
        columns = zip(self.names, self.synonyms, self.wnids, strict=True)
        return ["\n\n{}\n".format("\n".join((name, *others, wnid))).casefold() for name, others, wnid in columns]

    @functools.cached_property
    def digest(self) -> str:
        """What tells this tree from others: 'sha256:' and the hash of its lines 'wnid parent'.

        For the packaged tree it is the hash of darknet's own file 9k.tree.
        """
        lines = (f"{wnid} {parent}\n" for wnid, parent in zip(self.wnids, self.parents.tolist(), strict=True))
        return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def _frozen(values: npt.ArrayLike) -> IntArray:
    array = np.array(values, np.int32)
    array.flags.writeable = False
    return array

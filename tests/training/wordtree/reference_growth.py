"""The paper's rule as plainly as it can be said: every path of every label is written out and counted each time."""

from collections.abc import Iterable, Mapping

Graph = Mapping[str, tuple[str, ...]]


def all_paths(graph: Graph, label: str) -> list[tuple[str, ...]]:
    """Return every path from a root down to the label."""
    if not graph[label]:
        return [(label,)]
    return [(*path, label) for above in graph[label] for path in all_paths(graph, above)]


def grown(graph: Graph, labels: Iterable[str]) -> dict[str, str | None]:
    """Return each node's parent."""
    parents: dict[str, str | None] = {}

    def add(path: tuple[str, ...]) -> None:
        for above, concept in zip((None, *path), path, strict=False):
            parents.setdefault(concept, above)

    def in_tree(path: tuple[str, ...]) -> bool:
        """Whether the path keeps to the tree's edges as long as it is in the tree."""
        return all(parents.get(below, above) == above for above, below in zip((None, *path), path, strict=False))

    left = []
    for label in set(labels):
        paths = all_paths(graph, label)
        if len(paths) == 1:
            add(paths[0])
        else:
            left.append(label)
    while left := [label for label in left if label not in parents]:
        ways = [
            (sum(concept not in parents for concept in path), len(path), path)
            for label in left
            for path in all_paths(graph, label)
            if in_tree(path)
        ]
        add(min(ways)[2])
    return parents

"""How long the lazy walk takes beside a softmax over the whole tree and beside plain Python.

    python -m tests.benchmarks.bench_walk [--rounds 9]

The contenders take turns, so that a machine that slows down slows all of them; times are medians over the
rounds, and the ratios are medians of each round's ratio to the lazy walk.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np

from model.answers.walk import FloatArray, absolute_probabilities, walk
from model.tree_files import packaged_tree
from model.wordtree import WordTree
from tests.model.answers import reference_walk


def sure_logits(tree: WordTree, boxes: int) -> FloatArray:
    """Random logits with which every box is sure of some leaf, so that its walk is long."""
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(boxes, len(tree))).astype(np.float32)
    for row, leaf in enumerate(chance.choice(tree.leaves, boxes)):
        logits[row, list(tree.path(leaf))] += 9
    return logits


def walk_full(tree: WordTree, logits: FloatArray) -> list[int]:
    """Walk on the absolute probabilities of all nodes."""
    labels = []
    for row in absolute_probabilities(tree, logits):
        node = int(row[: len(tree.roots)].argmax())
        while children := tree.children(node):
            child = children.start + int(row[children.start : children.stop].argmax())
            if row[child] < 0.5:
                break
            node = child
        labels.append(node)
    return labels


def plain_python(parents: list[int]) -> Callable[[list[list[float]]], object]:
    """Full softmax in plain Python, with the sibling groups listed once."""
    groups: dict[int, list[int]] = {}
    for node, parent in enumerate(parents):
        groups.setdefault(parent, []).append(node)

    def run(rows: list[list[float]]) -> None:
        for row in rows:
            absolute = [1.0] * (len(parents) + 1)  # the last stands for what is above the roots
            for parent, group in groups.items():
                conditional = reference_walk.softmax([row[node] for node in group])
                for node, probability in zip(group, conditional, strict=True):
                    absolute[node] = absolute[parent] * probability

    return run


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="turns each contender takes (default: 9)")
    rounds = parser.parse_args().rounds

    loading = []
    for _ in range(rounds):
        packaged_tree.cache_clear()
        loading.append(timed(packaged_tree))
    print(f"packaged_tree(): {1e3 * median(loading):.1f} ms")

    tree = packaged_tree()
    slow = plain_python(tree.parents.tolist())
    for boxes in (1, 20, 100, 867):
        logits = sure_logits(tree, boxes)
        rows = logits.tolist()
        contenders: dict[str, Callable[[], object]] = {
            "lazy walk": partial(walk, tree, logits),
            "full softmax": partial(walk_full, tree, logits),
        }
        if boxes <= 20:
            contenders["plain Python"] = partial(slow, rows)
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, work in contenders.items():
                times[name].append(timed(work))
        steps = walk(tree, logits).lengths.mean()
        print(f"{boxes} boxes, paths of {steps:.1f} nodes")
        for name, seconds in times.items():
            ratio = median(other / lazy for other, lazy in zip(seconds, times["lazy walk"], strict=True))
            print(f"  {name:14}{1e3 * median(seconds):10.2f} ms{ratio:9.1f} x")


if __name__ == "__main__":
    main()

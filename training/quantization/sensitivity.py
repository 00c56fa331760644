"""How much a network's answers change when a layer is computed with 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.detections import RawDetections
from model.runtime import OnnxDetector
from model.walk import absolute_probabilities

BOXES_COMPARED = 100
"""Of each picture; those with the highest objectness, as the others are hardly ever an answer."""


def every_box(detector: OnnxDetector, pictures: Iterable[NDArray[np.uint8]]) -> list[RawDetections]:
    """Return all boxes of pictures [1, S, S, 3], none held back by the gate: of two files of one network in one order."""
    return [detector.run(batch, 0.0)[0] for batch in pictures]


def disagreement(detector: OnnxDetector, expected: Sequence[RawDetections], found: Sequence[RawDetections]) -> float:
    """Return how far answers are from those expected, 0 where they are the same, at most 3.

    It is the change of objectness, the part of a box that is not shared, and the largest change of a node's
    probability, added and averaged over the best boxes of each picture, weighted with their objectness.
    """
    total = weight = 0.0
    for before, after in zip(expected, found, strict=True):
        best = np.argsort(-before.objectness, kind="stable")[:BOXES_COMPARED]
        certainty = before.objectness[best].astype(np.float64)
        change = np.abs(after.objectness[best] - before.objectness[best])
        change += 1 - _shared(before.boxes[best], after.boxes[best])
        tree = detector.trained_tree
        probability = absolute_probabilities(tree, before.class_logits[best])
        change += np.abs(absolute_probabilities(tree, after.class_logits[best]) - probability).max(axis=1, initial=0)
        total += float((certainty * change).sum())
        weight += float(certainty.sum())
    return total / weight if weight else 0.0


def most_sensitive(
    names: Sequence[str], disagreement_of: Callable[[str], float], *, progress: bool = False
) -> list[tuple[str, float]]:
    """Return layers with what each alone changes, the one that changes most first.

    Args:
        names: of the layers.
        disagreement_of: tells how far the answers are off when this layer alone is quantised.
        progress: show a progress bar on a terminal.
    """
    bar = tqdm(names, desc="layers", unit="layer", disable=None if progress else True)
    return sorted(((name, disagreement_of(name)) for name in bar), key=lambda one: -one[1])


def _shared(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the intersection over union [N] of each box of a [N, 4] with its counterpart in b."""
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    areas = [np.maximum(one[:, 2:] - one[:, :2], 0).prod(axis=1) for one in (a, b)]
    intersection = sides.prod(axis=1)
    union = areas[0] + areas[1] - intersection
    shared: NDArray[np.float32] = np.divide(intersection, union, out=np.ones_like(union), where=union > 0)
    return shared

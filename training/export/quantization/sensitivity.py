"""How much a network's answers change when a layer is computed with 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.answers.detections import RawDetections
from model.answers.walk import absolute_probabilities
from model.geometry import box_iou
from model.runtime import OnnxDetector
from model.wordtree import WordTree

LEAST_OBJECTNESS: Final = 0.05
"""Of the boxes that are compared; those below it are hardly ever an answer."""

LEAST_COUNTERPART: Final = 0.02
"""Objectness of a box that may be another's counterpart: it may have lost some."""

NO_COUNTERPART: Final = 3.0
"""What a lost box counts; the most that one can change."""


def compared_boxes(
    detector: OnnxDetector, pictures: Iterable[NDArray[np.uint8]], least_objectness: float
) -> list[RawDetections]:
    """Return the boxes of pictures [1, S, S, 3] that pass."""
    return [detector.run(batch, least_objectness)[0] for batch in pictures]


def disagreement(tree: WordTree, expected: Sequence[RawDetections], found: Sequence[RawDetections]) -> float:
    """Return how far answers are from those expected, 0 where they are the same, at most 3.

    Every box expected is compared with the one found that overlaps it most. The change of objectness, the part of the
    two that is not shared, and the largest change of a node's probability are added, and averaged over the boxes,
    weighted with their objectness.

    Args:
        tree: of the logits' columns.
        expected: with objectness of `LEAST_OBJECTNESS` or more.
        found: with objectness of `LEAST_COUNTERPART` or more.
    """
    total = weight = 0.0
    for before, after in zip(expected, found, strict=True):
        if len(before):
            certainty = before.objectness.astype(np.float64)
            total += float((certainty * _changes(tree, before, after)).sum())
            weight += float(certainty.sum())
    return total / weight if weight else 0.0


def _changes(tree: WordTree, before: RawDetections, after: RawDetections) -> NDArray[np.float64]:
    if not len(after):
        return np.full(len(before), NO_COUNTERPART)
    overlap = box_iou(before.boxes, after.boxes)
    nearest = overlap.argmax(axis=1)
    shared = overlap[np.arange(len(before)), nearest].astype(np.float64)
    moved = np.abs(before.objectness - after.objectness[nearest])
    probability = absolute_probabilities(tree, before.class_logits)
    renamed = np.abs(probability - absolute_probabilities(tree, after.class_logits[nearest])).max(axis=1, initial=0)
    return np.where(shared > 0, moved + (1 - shared) + renamed, NO_COUNTERPART)


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

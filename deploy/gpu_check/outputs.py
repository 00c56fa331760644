"""Whether a GPU answers as the processor does, box by box."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from app.engine.batcher import LARGEST_BATCH
from deploy.gpu_check.report import CheckError, Found
from model.answers.detections import RawDetections
from model.answers.walk import absolute_probabilities, walk
from model.pictures.decoding import decode_letterboxed
from model.runtime import OnnxDetector

BATCH: Final = LARGEST_BATCH[True]
"""Pictures in a run of what is checked, as many as the service takes; the processor looks at them one by one."""


class Tolerance(NamedTuple):
    """How far the GPU may be from the processor.

    Attributes:
        sides: of a box's corners, as a part of the longer side of the box, or of a cell of the grid if that is larger.
        objectness, probability: as they are, 0 to 1.
        labels: least part of the boxes that have the same label.
    """

    sides: float
    objectness: float
    probability: float
    labels: float


TOLERANCE: Final = Tolerance(sides=0.02, objectness=0.02, probability=0.05, labels=0.98)
"""For float32 and float16 alike: tensor cores take float32 for TF32 unless told otherwise, and both have 11 bits. On a
processor float16 was .0023, .001 and .02 away, with 99.2 % of the labels the same: of YOLO9000 with random weights,
whose names are less sure than a trained one's."""

TOLERANCE_IN_8_BITS: Final = Tolerance(sides=0.1, objectness=0.06, probability=0.3, labels=0.95)
"""For a file with 8 bits, which a card computes in float between its roundings. A processor that does so was .043, .028
and .16 away from its own kernels for 8 bits, with 97.5 % of the labels the same: on the edge of a rounding step a value
falls to one side or the other."""


class Differences(NamedTuple):
    """The largest differences of some boxes; `labels` counts those that differ."""

    boxes: int = 0
    sides: float = 0.0
    objectness: float = 0.0
    probability: float = 0.0
    labels: int = 0

    def joined(self, other: Self) -> "Differences":
        """Return those of both."""
        return Differences(
            self.boxes + other.boxes,
            max(self.sides, other.sides),
            max(self.objectness, other.objectness),
            max(self.probability, other.probability),
            self.labels + other.labels,
        )


class Expected:
    """What the processor finds in pictures, at a model's default size, down to a tolerance below its threshold."""

    def __init__(self, model: Path, pictures: Sequence[bytes], tolerance: Tolerance = TOLERANCE) -> None:
        """Note what is to be looked at; that is done the first time it is asked for.

        Args:
            model: the file that the processor runs.
            pictures: files.
            tolerance: how far others may be from it.
        """
        self._detector = OnnxDetector.load(model)
        self._pictures = pictures
        self._tolerance = tolerance
        metadata = self._detector.metadata
        self._size, self._threshold = metadata.default_size, metadata.thresholds.objectness
        self._lower = max(0.0, self._threshold - tolerance.objectness)

    @cached_property
    def squares(self) -> NDArray[np.uint8]:
        """The pictures, uint8 [N, S, S, 3]."""
        return np.stack([decode_letterboxed(data, self._size)[0] for data in self._pictures])

    @cached_property
    def boxes(self) -> list[RawDetections]:
        """What the processor finds."""
        return [self._detector.run(square[None], self._lower)[0] for square in self.squares]

    def compared(self, checked: OnnxDetector) -> Found:
        """Compare another file of the same network, or the same file on another device.

        Every box that passes the threshold on one of them must have its like on the other, where it may miss the
        threshold by the tolerance.

        Raises:
            CheckError: they differ by more than they may.
        """
        found = [raw for some in _batches(self.squares) for raw in checked.run(some, self._lower)]
        both = Differences()
        for one, other in zip(self.boxes, found, strict=True):
            both = both.joined(differences(self._detector, one.at_least(self._threshold), other))
            both = both.joined(differences(self._detector, other.at_least(self._threshold), one))
        return _judged(both, len(self._pictures), self._tolerance)


def _judged(both: Differences, pictures: int, tolerance: Tolerance) -> Found:
    same = 1 - both.labels / max(both.boxes, 1)
    said = (
        f"{both.boxes} boxes of {pictures} pictures: sides {both.sides:.2g}, objectness {both.objectness:.2g}, "
        f"probabilities {both.probability:.2g} apart at most, {same:.1%} of the labels the same"
    )
    within = both.sides <= tolerance.sides and both.objectness <= tolerance.objectness
    if not (within and both.probability <= tolerance.probability and same >= tolerance.labels):
        allowed = f"{tolerance.sides:g}, {tolerance.objectness:g}, {tolerance.probability:g}, {tolerance.labels:.0%}"
        raise CheckError(f"{said}; allowed: {allowed}")
    if not both.boxes:
        raise CheckError("no box passed the threshold, so that nothing was compared")
    return Found(said, {**both._asdict(), "labels": same})


def differences(detector: OnnxDetector, boxes: RawDetections, others: RawDetections) -> Differences:
    """Compare each box with its like among others: the nearest, by place, size and objectness.

    Args:
        detector: whose tree and threshold the labels go by.
        boxes: to compare.
        others: among which their likes are.

    Returns:
        Infinite differences if there are no others.
    """
    if not len(boxes):
        return Differences()
    if not len(others):
        return Differences(len(boxes), np.inf, np.inf, np.inf, len(boxes))
    sides = (boxes.boxes[:, 2:] - boxes.boxes[:, :2]).max(axis=1)
    unit = np.maximum(sides, detector.metadata.stride)[:, None]
    moved = np.abs(boxes.boxes[:, None] - others.boxes[None]).max(axis=2) / unit
    surer = np.abs(boxes.objectness[:, None] - others.objectness[None])
    rows, likes = np.arange(len(boxes)), (moved + surer).argmin(axis=1)
    tree, logits = detector.trained_tree, others.class_logits[likes]
    renamed = np.abs(absolute_probabilities(tree, boxes.class_logits) - absolute_probabilities(tree, logits)).max()
    labels = _labels(detector, boxes.class_logits) != _labels(detector, logits)
    return Differences(
        len(boxes), float(moved[rows, likes].max()), float(surer[rows, likes].max()), float(renamed), int(labels.sum())
    )


def _labels(detector: OnnxDetector, logits: NDArray[np.float32]) -> NDArray[np.int32]:
    return walk(detector.trained_tree, logits, threshold=detector.metadata.thresholds.hierarchy).nodes


def _batches(squares: NDArray[np.uint8]) -> Iterable[NDArray[np.uint8]]:
    return (squares[first : first + BATCH] for first in range(0, len(squares), BATCH))

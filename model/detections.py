"""From the graph's raw outputs to answers: boxes in the picture, each with a path through the WordTree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.geometry import Letterbox, box_area, box_iou
from model.walk import walk
from model.wordtree import WordTree

Floats = NDArray[np.float32]
Nodes = NDArray[np.int32]

SUPPRESSED_AT_ONCE = 128
"""Boxes that suppression compares with all the others in one go: more at once compare many that are gone by then."""


@dataclass(frozen=True, eq=False)
class RawDetections:
    """What the graph gives for one picture: its K boxes that pass the objectness gate.

    Attributes:
        boxes: float32 [K, 4]; x1, y1, x2, y2 in pixels of the letterboxed input.
        objectness: float32 [K], 0 to 1.
        class_logits: float32 [K, T]; column j belongs to node j of the trained tree.
    """

    boxes: Floats
    objectness: Floats
    class_logits: Floats

    def __post_init__(self) -> None:
        count = len(self.boxes)
        _check_array("boxes", self.boxes, np.float32, (count, 4))
        _check_array("objectness", self.objectness, np.float32, (count,))
        _check_array("class_logits", self.class_logits, np.float32, (count, None))

    def __len__(self) -> int:
        return len(self.boxes)

    def at_least(self, threshold: float) -> Self:
        """Return the boxes whose objectness is at least the threshold, compared as the graph does it."""
        passes = self.objectness >= np.float32(threshold)
        if passes.all():
            return self
        return type(self)(self.boxes[passes], self.objectness[passes], self.class_logits[passes])


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects found in one picture, by descending score. D is the number of levels of the tree walked.

    Attributes:
        boxes: float32 [N, 4]; x1, y1, x2, y2 in pixels of the picture, inside it.
        objectness: float32 [N], 0 to 1.
        scores: float32 [N]; objectness times the absolute probability of the label.
        nodes: int32 [N]; the label, an index of the full tree.
        paths: int32 [N, D]; indices of the full tree from the root to the label, then -1.
        probabilities: float32 [N, D]; absolute, never increasing along the path, then 0.
    """

    boxes: Floats
    objectness: Floats
    scores: Floats
    nodes: Nodes
    paths: Nodes
    probabilities: Floats

    def __post_init__(self) -> None:
        count = len(self.boxes)
        _check_array("boxes", self.boxes, np.float32, (count, 4))
        _check_array("objectness", self.objectness, np.float32, (count,))
        _check_array("scores", self.scores, np.float32, (count,))
        _check_array("nodes", self.nodes, np.int32, (count,))
        _check_array("paths", self.paths, np.int32, (count, None))
        _check_array("probabilities", self.probabilities, np.float32, self.paths.shape)
        if (self.boxes[:, :2] > self.boxes[:, 2:]).any():
            raise ValueError("a box is turned inside out")
        if (self.scores[1:] > self.scores[:-1]).any():
            raise ValueError("the scores are not descending")
        if (self.probabilities[:, 1:] > self.probabilities[:, :-1]).any():
            raise ValueError("the probabilities of a path increase")
        if count and (self.paths[np.arange(count), self.lengths - 1] != self.nodes).any():
            raise ValueError("a path does not end at its label")

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def lengths(self) -> Nodes:
        """How many nodes each path has, int32 [N]."""
        lengths: Nodes = (self.paths >= 0).sum(axis=1, dtype=np.int32)
        return lengths


def postprocess(
    raw: RawDetections,
    letterbox: Letterbox,
    trained_tree: WordTree,
    trained: Nodes,
    *,
    unproven: NDArray[np.bool_] | None = None,
    hierarchy_threshold: float,
    iou_threshold: float,
    max_detections: int,
    under: Sequence[int] = (),
) -> Detections:
    """Answer for one picture.

    Args:
        raw: the graph's outputs for the picture.
        letterbox: how the picture lay in the graph's input.
        trained_tree: the tree of the trained nodes alone, `ModelMetadata.trained_tree`.
        trained: int32 [T], the full tree's index of each node of `trained_tree`.
        unproven: bool [T], nodes of `trained_tree` that no answer ends at, `ModelMetadata.unproven`; None for none.
        hierarchy_threshold: least absolute probability to go on to a more particular concept, 0 to 1.
        iou_threshold: of two boxes on one lineage that overlap by more than this the lesser goes, 0 to 1.
        max_detections: how many answers to give at most.
        under: indices of the full tree. If there are any, only answers within these nodes are given.

    Returns:
        The detections, labelled with indices of the full tree.
    """
    boxes = letterbox.to_picture(raw.boxes)
    allowed = _trained_positions(trained, under)
    visible = box_area(boxes) > 0  # a box wholly in the padding shows nothing of the picture
    if under and not allowed:
        visible[:] = False
    # All are walked, as leaving the others out would copy the logits, which are most of the memory there is.
    answers = walk(trained_tree, raw.class_logits, threshold=hierarchy_threshold, under=allowed, unproven=unproven)
    scores = raw.objectness * answers.label_probability
    found = np.flatnonzero(visible & (answers.nodes >= 0))
    kept = found[
        lineage_suppression(
            boxes[found],
            scores[found],
            answers.nodes[found],
            trained_tree,
            iou_threshold,
            limit=max_detections,
        )
    ]
    paths = answers.paths[kept]
    return Detections(
        boxes=boxes[kept],
        objectness=raw.objectness[kept],
        scores=scores[kept],
        nodes=trained[answers.nodes[kept]],
        paths=np.where(paths >= 0, trained[paths], np.int32(-1)),
        probabilities=answers.probabilities[kept],
    )


def lineage_suppression(
    boxes: Floats,
    scores: Floats,
    nodes: Nodes,
    tree: WordTree,
    iou_threshold: float,
    *,
    limit: int | None = None,
) -> NDArray[np.intp]:
    """Keep one box an object, where labels on one line from root to leaf may name the same object.

    A 'dog' and a 'beagle' at one place are one animal; a 'dog' and a 'sofa' there are two things. Boxes are
    taken by descending score (of equal ones the one further left, then by its other edges and its label, so that
    the order they come in decides nothing); a box goes if its intersection over union with a kept one exceeds the
    threshold and one of the two labels is the other or lies below it.

    Args:
        boxes: [N, 4]; x1, y1, x2, y2.
        scores: [N].
        nodes: [N], indices of `tree`.
        tree: what the labels are compared in.
        iou_threshold: 0 to 1.
        limit: stop once so many are kept; None keeps all.

    Returns:
        Indices of the kept boxes by descending score.
    """
    order = np.lexsort((nodes, *boxes.T[::-1], -scores))  # by its last key first
    kept: list[NDArray[np.intp]] = []
    count = 0
    while order.size and (limit is None or count < limit):
        block, order = order[:SUPPRESSED_AT_ONCE], order[SUPPRESSED_AT_ONCE:]
        block = block[_best_of_their_objects(_same_object(boxes, nodes, block, block, tree, iou_threshold))]
        kept.append(block)
        count += len(block)
        if order.size and (limit is None or count < limit):
            order = order[~_same_object(boxes, nodes, block, order, tree, iou_threshold).any(axis=0)]
    return np.concatenate((order[:0], *kept))[:limit]


def _same_object(
    boxes: Floats, nodes: Nodes, these: NDArray[np.intp], those: NDArray[np.intp], tree: WordTree, iou_threshold: float
) -> NDArray[np.bool_]:
    """Tell which of these boxes [N] show the same object as which of those [M]: bool [N, M]."""
    same = box_iou(boxes[these], boxes[those]) > iou_threshold
    one, other = same.nonzero()
    same[one, other] = tree.same_lineage(nodes[these[one]], nodes[those[other]])
    return same


def _best_of_their_objects(same: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which boxes no better one drops, bool [N], where `same` [N, N] compares boxes by descending score."""
    stands = np.ones(len(same), dtype=np.bool_)
    worse = np.triu(same, 1)
    for row in np.flatnonzero(worse.any(axis=1)).tolist():
        if stands[row]:
            stands &= ~worse[row]
    return stands


def _trained_positions(trained: Nodes, nodes: Sequence[int]) -> list[int]:
    """Return where these nodes of the full tree stand in `trained`; untrained ones can be in no answer."""
    if not len(nodes):
        return []
    wanted = np.asarray(nodes, dtype=np.int64)
    positions: list[int] = np.flatnonzero(np.isin(trained, wanted)).tolist()
    return positions


def exact(value: np.float32) -> float:
    """Return the shortest decimal that reads back as the same float32: nothing is lost, and no digit says nothing."""
    return float(str(value))


def _check_array(name: str, array: NDArray[np.generic], dtype: type[np.generic], shape: tuple[int | None, ...]) -> None:
    """Refuse an array of another type or shape (None: any length), or with a value that is not a number."""
    fits = array.ndim == len(shape) and all(
        expected in (None, length) for expected, length in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise ValueError(f"{name} must be {dtype.__name__} {list(shape)}, not {array.dtype} {list(array.shape)}")
    if array.size and array.dtype.kind == "f" and np.isnan(array.min()):  # the least of them is NaN where any is
        raise ValueError(f"{name} hold values that are not numbers")

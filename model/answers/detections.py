"""From the graph's raw outputs to answers: boxes in the picture, each with a path through the WordTree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.answers.alternatives import MOST, Alternatives, alternatives
from model.answers.suppression import lineage_suppression
from model.answers.walk import walk
from model.geometry import Letterbox, box_area
from model.wordtree import WordTree

Floats = NDArray[np.float32]
Nodes = NDArray[np.int32]


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
        alternatives: [N, 3]; concepts below the label that the walk hesitated between, indices of the full tree.
        path_alternatives: [N, D, 3]; what they would be if the walk had stopped at each concept of the path; None if
            nobody asked.
        rows: [N]; which of the raw boxes each is; None where that is not known.
    """

    boxes: Floats
    objectness: Floats
    scores: Floats
    nodes: Nodes
    paths: Nodes
    probabilities: Floats
    alternatives: Alternatives
    path_alternatives: Alternatives | None = None
    rows: NDArray[np.intp] | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        _check_array("boxes", self.boxes, np.float32, (count, 4))
        _check_array("objectness", self.objectness, np.float32, (count,))
        _check_array("scores", self.scores, np.float32, (count,))
        _check_array("nodes", self.nodes, np.int32, (count,))
        _check_array("paths", self.paths, np.int32, (count, None))
        _check_array("probabilities", self.probabilities, np.float32, self.paths.shape)
        for name, found, shape in (
            ("alternatives", self.alternatives, (count,)),
            ("path_alternatives", self.path_alternatives, self.paths.shape),
        ):
            if found is not None:
                _check_array(name, found.nodes, np.int32, (*shape, MOST))
                _check_array(name, found.probabilities, np.float32, (*shape, MOST))
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
    along_paths: bool = False,
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
        along_paths: give `Detections.path_alternatives` as well.

    Returns:
        The detections, labelled with indices of the full tree.
    """
    boxes = letterbox.to_picture(raw.boxes)
    allowed = trained_positions(trained, under)
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
    paths, probabilities = answers.paths[kept], answers.probabilities[kept]

    def hesitated(rows: NDArray[np.intp], nodes: Nodes, probabilities: Floats) -> Alternatives:
        found = alternatives(trained_tree, raw.class_logits, rows, nodes, probabilities, unproven=unproven)
        return Alternatives(_in(trained, found.nodes), found.probabilities)

    along = Alternatives.none(*paths.shape) if along_paths else None
    if along is not None:
        row, depth = (paths >= 0).nonzero()
        along.nodes[row, depth], along.probabilities[row, depth] = hesitated(
            kept[row], paths[row, depth], probabilities[row, depth]
        )
    return Detections(
        boxes=boxes[kept],
        objectness=raw.objectness[kept],
        scores=scores[kept],
        nodes=trained[answers.nodes[kept]],
        paths=_in(trained, paths),
        probabilities=probabilities,
        alternatives=hesitated(kept, answers.nodes[kept], answers.label_probability[kept]),
        path_alternatives=along,
        rows=kept,
    )


def _in(trained: Nodes, nodes: Nodes) -> Nodes:
    """Return indices of the full tree for those of the trained tree; -1 stays."""
    found: Nodes = np.where(nodes >= 0, trained[nodes], np.int32(-1))
    return found


def trained_positions(trained: Nodes, nodes: Sequence[int]) -> list[int]:
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

"""Runs a model file over a detection set and keeps, of every picture, what the scores are taken of."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from model.answers.detections import Detections, RawDetections
from model.answers.walk import path_probability, walk
from model.geometry import Letterbox, box_area, box_iou
from model.pictures.decoding import letterbox
from model.runtime import OnnxDetector
from training.data.formats.detection_set import DetectionSet
from training.data.pictures.picture import BoxedPicture
from training.data.reading import boxes_on, crowds_on, read_picture
from training.evaluation.average_precision import BOXES_AT_MOST, Answers, Truths
from training.evaluation.hierarchy import CURVE_THRESHOLDS
from training.evaluation.lineage import match
from training.evaluation.suppression import suppress_by_category


class Rules(BaseModel):
    """How a model is run, and which of its boxes count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int | None = Field(
        default=None,
        gt=0,
        description="input size, px; default: the model's",
    )
    batch: int = Field(default=1, gt=0, description="pictures in one inference")
    objectness: float = Field(default=0.005, ge=0, le=1, description="least objectness of a box to be scored, 0 to 1")
    score: float = Field(
        default=0.001,
        ge=0,
        le=1,
        description="least score of a box for a category, objectness times the category's probability, 0 to 1",
    )
    iou: float = Field(
        default=0.45,
        ge=0,
        le=1,
        description="a box that overlaps a better one by more than this IoU is suppressed, 0 to 1",
    )
    hierarchy: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.5, 0.0),
        min_length=1,
        description="hierarchy thresholds to report the right names on the path for, 0 to 1",
    )


class Matched(NamedTuple):
    """The M labelled boxes that were matched, see `lineage`, and what was said of them; nodes are the whole tree's.

    Attributes:
        nodes: [M], their true nodes.
        labels: [thresholds, M], the labels at each threshold of the rules.
        curve: [C, M], the labels at each of `CURVE_THRESHOLDS`.
        paths: [M, D], the paths to the leaves, -1 after the end.
        probabilities: [M, D], along them.
    """

    nodes: NDArray[np.int32]
    labels: NDArray[np.int32]
    curve: NDArray[np.int32]
    paths: NDArray[np.int32]
    probabilities: NDArray[np.float32]


class Found(NamedTuple):
    """What was found in one picture, and the truth of it.

    Attributes:
        truths: the labelled boxes.
        difficult: [len(truths)], those that VOC's rules leave out.
        answers: the boxes for every category, after suppression in each.
        anything: the boxes left after suppression whatever the category, scored by objectness.
        lines: what the service would answer, walked to the leaves: an answer for every node of every path.
        matched: see there.
        served: what the service answers at the model file's thresholds.
    """

    truths: Truths
    difficult: NDArray[np.bool_]
    answers: Answers
    anything: Answers
    lines: Answers
    matched: Matched
    served: Detections

    def labelled(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Return the boxes [N, 4] and nodes [N] of the truths that are no crowds, in the picture's own pixels."""
        single = ~self.truths.crowd
        return self.truths.boxes[single].astype(np.float32), self.truths.category[single].astype(np.int32)


def find_all(detector: OnnxDetector, detection_set: DetectionSet, rules: Rules) -> Iterator[Found]:
    """Run the model over a set's pictures, in order.

    Raises:
        InvalidDatasetError: a picture cannot be read or has another shape than its annotations say.
    """
    for number, (boxed, raw, frame) in enumerate(_run(detector, detection_set, rules)):
        yield _find(detector, number, boxed, raw, frame, detection_set.present, rules)


def _run(
    detector: OnnxDetector, detection_set: DetectionSet, rules: Rules
) -> Iterator[tuple[BoxedPicture, RawDetections, Letterbox]]:
    size = detector.metadata.default_size if rules.size is None else rules.size
    for first in range(0, len(detection_set.pictures), rules.batch):
        boxed = detection_set.pictures[first : first + rules.batch]
        images, opened = zip(*(open_picture(picture) for picture in boxed), strict=True)
        squares, frames = zip(*(letterbox(image, size) for image in images), strict=True)
        yield from zip(opened, detector.run(np.stack(squares), rules.objectness), frames, strict=True)


def open_picture(boxed: BoxedPicture) -> tuple[Image.Image, BoxedPicture]:
    """Read a labelled picture; return it and what is labelled, in the pixels of its file.

    Raises:
        InvalidDatasetError: it cannot be read, or has another shape than its annotations say.
    """
    image = read_picture(boxed)
    return image, replace(
        boxed,
        width=image.width,
        height=image.height,
        boxes=boxes_on(image, boxed),
        crowd_boxes=crowds_on(image, boxed),
    )


def _find(
    detector: OnnxDetector,
    number: int,
    boxed: BoxedPicture,
    raw: RawDetections,
    frame: Letterbox,
    nodes: NDArray[np.int32],
    rules: Rules,
) -> Found:
    """Turn raw outputs into answers for the categories `nodes`, and match the labelled boxes."""
    boxes = frame.to_picture(raw.boxes)
    visible = box_area(boxes) > 0  # a box in the padding shows nothing of the picture
    boxes, objectness, logits = boxes[visible], raw.objectness[visible], raw.class_logits[visible]
    trained = detector.metadata.trained_nodes
    known = nodes[np.isin(nodes, trained)]
    probability = path_probability(detector.trained_tree, logits, np.searchsorted(trained, known).tolist())
    overlapping = box_iou(boxes, boxes) > rules.iou

    def answers(scores: NDArray[np.float32], least_score: float) -> Answers:
        kept = suppress_by_category(overlapping, scores, least_score=least_score, at_most=BOXES_AT_MOST)
        return Answers(np.full(len(kept.box), number), kept.category, boxes[kept.box], kept.score)

    by_category = answers(objectness[:, None] * probability, rules.score)
    matches = match(boxed.boxes, boxes, objectness)
    crowds = len(boxed.crowd_boxes)
    difficult = np.zeros(len(boxed.boxes), bool) if boxed.difficult is None else boxed.difficult
    passing = raw.objectness >= detector.metadata.thresholds.objectness
    to_leaves = detector.postprocess(
        raw, frame, hierarchy_threshold=0, iou_threshold=rules.iou, max_detections=BOXES_AT_MOST
    )
    return Found(
        truths=_truths(number, boxed),
        difficult=np.concatenate([difficult, np.zeros(crowds, bool)]),
        answers=by_category._replace(category=known[by_category.category]),
        anything=answers(objectness[:, None], 0),
        lines=_lines(number, to_leaves),
        matched=_matched(detector, boxed.nodes[matches.truth], logits[matches.box], rules),
        served=detector.postprocess(
            RawDetections(raw.boxes[passing], raw.objectness[passing], raw.class_logits[passing]), frame
        ),
    )


def _lines(number: int, detections: Detections) -> Answers:
    """Return an answer for every node of every path, scored by objectness times the node's probability."""
    row, step = np.nonzero(detections.paths >= 0)
    return Answers(
        picture=np.full(len(row), number),
        category=detections.paths[row, step],
        boxes=detections.boxes[row],
        score=detections.objectness[row] * detections.probabilities[row, step],
    )


def _matched(detector: OnnxDetector, nodes: NDArray[np.int32], logits: NDArray[np.float32], rules: Rules) -> Matched:
    tree, trained, unproven = detector.trained_tree, detector.metadata.trained_nodes, detector.metadata.unproven

    def labels(thresholds: tuple[float, ...]) -> NDArray[np.int32]:
        return np.stack([trained[walk(tree, logits, threshold=one, unproven=unproven).nodes] for one in thresholds])

    leaves = walk(tree, logits, threshold=0)
    paths = np.where(leaves.paths >= 0, trained[leaves.paths], -1).astype(np.int32)
    return Matched(nodes, labels(rules.hierarchy), labels(CURVE_THRESHOLDS), paths, leaves.probabilities)


def _truths(number: int, boxed: BoxedPicture) -> Truths:
    crowd = np.repeat([False, True], [len(boxed.boxes), len(boxed.crowd_boxes)])
    return Truths(
        picture=np.full(len(crowd), number),
        category=np.concatenate([boxed.nodes, boxed.crowd_nodes]),
        boxes=np.concatenate([boxed.boxes, boxed.crowd_boxes]),
        crowd=crowd,
    )

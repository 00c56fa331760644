"""Runs a model file over a detection set and scores what it finds."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from model.detections import RawDetections
from model.geometry import Letterbox, box_area, box_iou
from model.picture import PictureError, decode_picture, letterbox
from model.runtime import OnnxDetector
from model.walk import path_probability, walk
from training.data.coco import DetectionSet, InvalidDatasetError, LabelledPicture
from training.evaluation.average_precision import (
    BOXES_AT_MOST,
    Answers,
    CategoryPrecision,
    Truths,
    average_precision,
    recall,
)
from training.evaluation.lineage import lineage_accuracy, match
from training.evaluation.report import CategoryReport, SetReport
from training.evaluation.suppression import suppress_by_category


class Rules(BaseModel):
    """How a model is run, and which of its boxes count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int | None = Field(
        default=None,
        gt=0,
        description="side of the square input in pixels; by default that of the model file",
    )
    batch: int = Field(default=1, gt=0, description="pictures in one inference")
    objectness: float = Field(
        default=0.005, ge=0, le=1, description="least objectness of a box to count at all, 0 to 1"
    )
    score: float = Field(
        default=0.001,
        ge=0,
        le=1,
        description="a box counts for a category only with a greater score than this, 0 to 1; "
        "the score is the objectness times the probability of the category",
    )
    iou: float = Field(
        default=0.45,
        ge=0,
        le=1,
        description="a box goes where it overlaps a better one by more than this IOU, 0 to 1",
    )
    hierarchy: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.5, 0.0),
        min_length=1,
        description="least absolute probability to go on to a more specific concept, 0 to 1; "
        "lineage accuracy is given for each of these",
    )


class _Found(NamedTuple):
    """What was found in one picture, and the truth of it.

    Attributes:
        truths: the labelled boxes.
        answers: the boxes for every category, after suppression in each.
        anything: the boxes left after suppression whatever the category, scored by objectness.
        matched: [M], the synsets of the labelled boxes that were matched, see `lineage`.
        labels: [thresholds, M], what was said of them.
    """

    truths: Truths
    answers: Answers
    anything: Answers
    matched: NDArray[np.int32]
    labels: NDArray[np.int32]


def evaluate_set(
    detector: OnnxDetector, detection_set: DetectionSet, rules: Rules, *, progress: bool = False
) -> SetReport:
    """Score a model on a set.

    The score of a box for a category is its objectness times the absolute probability of the category's node:
    a model that knows beagles and poodles answers for a set's dogs with the probability of all dogs. A
    category that the model was not trained on is answered by nothing, but counts in the mean.

    Args:
        detector: the model.
        detection_set: read with the model's tree, `detector.tree`.
        rules: see there.
        progress: show a progress bar on a terminal.

    Raises:
        InvalidDatasetError: a picture cannot be read or has another size than its annotations say.
    """
    pictures = _run(detector, detection_set, rules)
    bar = tqdm(
        pictures,
        total=len(detection_set.pictures),
        desc=detection_set.name,
        unit="picture",
        disable=None if progress else True,
    )
    found = [
        _find(detector, number, labelled, raw, frame, detection_set.present, rules)
        for number, (labelled, raw, frame) in enumerate(bar)
    ]
    return _score(detector, detection_set, found, rules)


def _run(
    detector: OnnxDetector, detection_set: DetectionSet, rules: Rules
) -> Iterator[tuple[LabelledPicture, RawDetections, Letterbox]]:
    size = detector.bundle.default_size if rules.size is None else rules.size
    for first in range(0, len(detection_set.pictures), rules.batch):
        labelled = detection_set.pictures[first : first + rules.batch]
        squares, frames = zip(*(letterbox(_open(picture), size) for picture in labelled), strict=True)
        yield from zip(labelled, detector.run(np.stack(squares), rules.objectness), frames, strict=True)


def _open(labelled: LabelledPicture) -> Image.Image:
    try:
        image = decode_picture(labelled.path.read_bytes())
    except (OSError, PictureError) as error:
        raise InvalidDatasetError(
            f"{labelled.path}: this picture cannot be read: {error}; replace it, or remove it from the annotations."
        ) from error
    if image.size != (labelled.width, labelled.height):
        raise InvalidDatasetError(
            f"{labelled.path}: the picture, held upright, is {image.width}x{image.height} pixels, but its "
            f"annotations say {labelled.width}x{labelled.height}; use the picture they were drawn "
            f"on, or scale the boxes."
        )
    return image


def _find(
    detector: OnnxDetector,
    number: int,
    labelled: LabelledPicture,
    raw: RawDetections,
    frame: Letterbox,
    nodes: NDArray[np.int32],
    rules: Rules,
) -> _Found:
    """Turn raw outputs into answers for the categories `nodes`, and match the labelled boxes."""
    boxes = frame.to_picture(raw.boxes)
    visible = box_area(boxes) > 0  # a box in the padding shows nothing of the picture
    boxes, objectness, logits = boxes[visible], raw.objectness[visible], raw.class_logits[visible]
    trained = detector.bundle.trained_nodes
    known = nodes[np.isin(nodes, trained)]
    probability = path_probability(detector.trained_tree, logits, np.searchsorted(trained, known).tolist())
    overlapping = box_iou(boxes, boxes) > rules.iou

    def answers(scores: NDArray[np.float32], least_score: float) -> Answers:
        kept = suppress_by_category(overlapping, scores, least_score=least_score, at_most=BOXES_AT_MOST)
        return Answers(np.full(len(kept.box), number), kept.category, boxes[kept.box], kept.score)

    by_category = answers(objectness[:, None] * probability, rules.score)
    matches = match(labelled.boxes, boxes, objectness)
    labels = [
        trained[
            walk(
                detector.trained_tree, logits[matches.box], threshold=threshold, unproven=detector.bundle.unproven
            ).nodes
        ]
        for threshold in rules.hierarchy
    ]
    return _Found(
        truths=_truths(number, labelled),
        answers=by_category._replace(category=known[by_category.category]),
        anything=answers(objectness[:, None], 0),
        matched=labelled.nodes[matches.truth],
        labels=np.stack(labels),
    )


def _truths(number: int, labelled: LabelledPicture) -> Truths:
    crowd = np.repeat([False, True], [len(labelled.boxes), len(labelled.crowd_boxes)])
    return Truths(
        picture=np.full(len(crowd), number),
        category=np.concatenate([labelled.nodes, labelled.crowd_nodes]),
        boxes=np.concatenate([labelled.boxes, labelled.crowd_boxes]),
        crowd=crowd,
    )


def _score(detector: OnnxDetector, detection_set: DetectionSet, found: Sequence[_Found], rules: Rules) -> SetReport:
    columns = _Found(*zip(*found, strict=True))
    truths = Truths(*map(np.concatenate, zip(*columns.truths, strict=True)))
    answers = Answers(*map(np.concatenate, zip(*columns.answers, strict=True)))
    anything = Answers(*map(np.concatenate, zip(*columns.anything, strict=True)))
    matched = np.concatenate(columns.matched)
    labels = np.concatenate(columns.labels, axis=1)
    categories = _categories(detector, detection_set, average_precision(truths, answers))
    return SetReport(
        name=detection_set.name,
        pictures=len(detection_set.pictures),
        boxes=detection_set.box_count,
        ap50=_mean([category.ap50 for category in categories]),
        ap=_mean([category.ap for category in categories]),
        recall=recall(truths, anything),
        matched=len(matched),
        lineage=tuple(
            lineage_accuracy(detector.tree, said, matched, threshold)
            for said, threshold in zip(labels, rules.hierarchy, strict=True)
        ),
        categories=categories,
    )


def _categories(
    detector: OnnxDetector, detection_set: DetectionSet, precision: Mapping[int, CategoryPrecision]
) -> tuple[CategoryReport, ...]:
    # Categories that share a node are one; it goes by the name of the first.
    names = {category.node: category.name for category in reversed(detection_set.categories)}
    trained = set(detector.bundle.trained)
    boxes = Counter(node for picture in detection_set.pictures for node in picture.nodes.tolist())
    return tuple(
        CategoryReport(
            wnid=detector.tree.wnids[node],
            name=names[node],
            boxes=boxes[node],
            trained=node in trained,
            ap50=scores.at_50,
            ap=scores.mean,
        )
        for node, scores in precision.items()
    )


def _mean(shares: Sequence[float]) -> float | None:
    return sum(shares) / len(shares) if shares else None

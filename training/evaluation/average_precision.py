"""COCO's average precision and recall, as pycocotools computes them.

Average precision is the mean of the greatest precision at 101 recalls, 0, .01 ... 1, over at most 100 boxes
of a category in a picture. Boxes around crowds are ignored: what matches one counts neither for nor against.
Categories are taken one by one: a hot dog found where a set has both hot dogs and sandwiches is, for the
sandwiches, a false alarm, although the tree says that it is one. That is how COCO counts.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

BOXES_AT_MOST = 100
"""How many boxes of one category in one picture count, the best first."""

IOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""The overlaps that average precision is averaged over: .50, .55 ... .95."""

_RECALL_IOU = 0.5

Records = Sequence[dict[str, object]]


class Truths(NamedTuple):
    """The labelled boxes of a set; boxes [M, 4] are x1, y1, x2, y2 in pixels, the others [M]."""

    picture: NDArray[np.integer]
    category: NDArray[np.integer]
    boxes: NDArray[np.floating]
    crowd: NDArray[np.bool_]


class Answers(NamedTuple):
    """The boxes a detector found; boxes [M, 4] are x1, y1, x2, y2 in pixels, the others [M]."""

    picture: NDArray[np.integer]
    category: NDArray[np.integer]
    boxes: NDArray[np.floating]
    score: NDArray[np.floating]


class CategoryPrecision(NamedTuple):
    """The scores of one category, 0 to 1: at IOU .5, and the mean over `IOU_THRESHOLDS`."""

    at_50: float
    mean: float


def average_precision(truths: Truths, answers: Answers) -> dict[int, CategoryPrecision]:
    """Return the average precision of every category that has a truth (a crowd's aside)."""
    categories = np.unique(truths.category[~truths.crowd])
    if not categories.size:
        return {}
    precision = _evaluate(truths, answers, categories, IOU_THRESHOLDS)["precision"][:, :, :, 0, 0].mean(axis=1)
    return {
        int(category): CategoryPrecision(float(precision[0, column]), float(precision[:, column].mean()))
        for column, category in enumerate(categories)
    }


def recall(truths: Truths, answers: Answers) -> float | None:
    """Return the share of truths that one of the answers found (IOU .5 or more), whatever the categories.

    A truth and an answer pair at most once. None where there is no truth.
    """
    if truths.crowd.all():
        return None
    blind_truths = truths._replace(category=np.zeros_like(truths.category))
    blind_answers = answers._replace(category=np.zeros_like(answers.category))
    result = _evaluate(blind_truths, blind_answers, np.zeros(1, np.int64), (_RECALL_IOU,))
    return float(result["recall"][0, 0, 0, 0])


def _evaluate(
    truths: Truths, answers: Answers, categories: NDArray[np.integer], iou_thresholds: tuple[float, ...]
) -> Mapping[str, NDArray[np.float64]]:
    """Run pycocotools; precision [IOUs, recalls, categories, 1, 1] and recall [IOUs, categories, 1, 1]."""
    truth_records = _records(truths.picture, truths.category, truths.boxes)
    for record, crowd in zip(truth_records, truths.crowd.tolist(), strict=True):
        record["iscrowd"] = int(crowd)
    answer_records = _records(answers.picture, answers.category, answers.boxes)
    for record, score in zip(answer_records, answers.score.tolist(), strict=True):
        record["score"] = score
    pictures = [{"id": picture} for picture in np.union1d(truths.picture, answers.picture).tolist()]
    labels = [{"id": category} for category in categories.tolist()]
    with contextlib.redirect_stdout(io.StringIO()):
        known, found = (_coco(boxes, pictures, labels) for boxes in (truth_records, answer_records))
        evaluation = COCOeval(known, found, "bbox")
        evaluation.params.iouThrs = np.array(iou_thresholds)
        evaluation.params.maxDets = [BOXES_AT_MOST]
        evaluation.params.areaRng = [[0, float("inf")]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    result: Mapping[str, NDArray[np.float64]] = evaluation.eval
    return result


def _records(
    picture: NDArray[np.integer], category: NDArray[np.integer], boxes: NDArray[np.floating]
) -> list[dict[str, object]]:
    corners = boxes.astype(np.float64)
    sides = corners[:, 2:] - corners[:, :2]
    columns = (
        picture.tolist(),
        category.tolist(),
        np.hstack([corners[:, :2], sides]).tolist(),
        sides.prod(axis=1).tolist(),
    )
    # Ids start at 1: pycocotools takes a match with number 0 for none.
    return [
        {"id": number, "image_id": image, "category_id": label, "bbox": box, "area": area}
        for number, (image, label, box, area) in enumerate(zip(*columns, strict=True), start=1)
    ]


def _coco(boxes: Records, pictures: Records, categories: Records) -> COCO:
    coco = COCO()
    coco.dataset = {"images": pictures, "annotations": boxes, "categories": categories}
    coco.createIndex()
    return coco

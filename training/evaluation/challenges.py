"""Average precision by the rules of PASCAL VOC and of ImageNet's detection challenge.

Both take the answers of a category by descending score and pair each with a labelled box of its picture:

- VOC: with the box that it overlaps most, by IOU .5 or more. A second answer on one box is a false alarm. What is
  paired with a difficult box counts neither for nor against (development kit, VOCevaldet.m).
- ImageNet: with the box that it overlaps most among those not paired yet. Small boxes ask for less: a box of w x h px
  for IOU min(.5, wh / ((w + 10)(h + 10))) (Russakovsky et al., arXiv 1409.0575, section 4.3).

Boxes around crowds are treated as difficult ones.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.geometry import box_iou
from training.evaluation.average_precision import Answers, Truths

LEAST_IOU = 0.5
SMALL_BOX_SLACK = 10
ELEVEN_RECALLS = np.arange(11) / 10


class Hits(NamedTuple):
    """What became of a category's answers, best first, those that count neither way left out.

    score: [K]. hit: bool [K], or a false alarm. truths: the number of labelled boxes that could be found.
    """

    score: NDArray[np.floating]
    hit: NDArray[np.bool_]
    truths: int

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return recall and precision [K] after each answer."""
        found = np.cumsum(self.hit)
        return found / max(self.truths, 1), found / np.arange(1, len(found) + 1)

    def area(self) -> float:
        """Return the area under the precision, made falling, by recall (VOC since 2010)."""
        recall, precision = self.curve()
        falling = np.maximum.accumulate(precision[::-1])[::-1]
        return float((np.diff(recall, prepend=0) * falling).sum())

    def eleven_points(self) -> float:
        """Return the mean of the greatest precision at recalls of 0, .1 ... 1 or more (VOC until 2009)."""
        recall, precision = self.curve()
        # A recall of 3 / 10 may come out a rounding below .3.
        reached = recall[None, :] >= ELEVEN_RECALLS[:, None] - 1e-12
        return float(np.where(reached, precision[None, :], 0).max(axis=1, initial=0).mean())


def pair(
    truths: Truths, answers: Answers, *, ignored: NDArray[np.bool_] | None = None, imagenet: bool = False
) -> dict[int, Hits]:
    """Pair answers with labelled boxes; return what came of it for every category with a box to be found.

    Args:
        truths, answers: of all categories and pictures.
        ignored: [M], labelled boxes beside those of crowds that are not to be found.
        imagenet: by ImageNet's rule; else by VOC's.
    """
    passed_over = truths.crowd if ignored is None else truths.crowd | ignored
    wanted = _least_iou(truths.boxes) if imagenet else np.full(len(truths.boxes), LEAST_IOU)
    by_category = np.argsort(answers.category, kind="stable")
    sorted_categories = answers.category[by_category]
    result = {}
    for category in np.unique(truths.category[~passed_over]).tolist():
        first, last = np.searchsorted(sorted_categories, [category, category + 1])
        rows = by_category[first:last]
        rows = rows[np.argsort(-answers.score[rows], kind="stable")]
        own = np.flatnonzero(truths.category == category)
        hit, counted = _pair_category(truths, own, answers, rows, passed_over, wanted, again=imagenet)
        result[category] = Hits(answers.score[rows][counted], hit[counted], int((~passed_over[own]).sum()))
    return result


def _least_iou(boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    width, height = (boxes[:, 2] - boxes[:, 0]).astype(np.float64), (boxes[:, 3] - boxes[:, 1]).astype(np.float64)
    slack: NDArray[np.float64] = width * height / ((width + SMALL_BOX_SLACK) * (height + SMALL_BOX_SLACK))
    return np.minimum(LEAST_IOU, slack)


def _pair_category(
    truths: Truths,
    own: NDArray[np.intp],
    answers: Answers,
    rows: NDArray[np.intp],
    passed_over: NDArray[np.bool_],
    wanted: NDArray[np.float64],
    *,
    again: bool,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which answers [K] are hits, and which count."""
    hit, counted = np.zeros(len(rows), bool), np.ones(len(rows), bool)
    pictures = answers.picture[rows]
    for picture in np.unique(truths.picture[own]).tolist():
        here, boxes = np.flatnonzero(pictures == picture), own[truths.picture[own] == picture]
        overlaps = box_iou(answers.boxes[rows[here]].astype(np.float32), truths.boxes[boxes].astype(np.float32))
        enough = overlaps >= wanted[boxes]
        taken = np.zeros(len(boxes), bool)
        for place, overlap, good in zip(here.tolist(), overlaps, enough, strict=True):
            # By ImageNet's rule an answer goes on to the next box where the best is paired already.
            choice = good & ~(taken & ~passed_over[boxes]) if again else good
            if not choice.any():
                continue
            best = int(np.where(choice, overlap, -1).argmax())
            if passed_over[boxes[best]]:
                counted[place] = False
            elif not taken[best]:
                taken[best] = hit[place] = True
    return hit, counted


class BestThreshold(NamedTuple):
    """The objectness threshold with the best F1 over all answers, and precision, recall and F1 there."""

    threshold: float
    precision: float
    recall: float
    f1: float


def best_threshold(truths: Truths, answers: Answers, ignored: NDArray[np.bool_] | None = None) -> BestThreshold | None:
    """Find the threshold on the score that gives the best F1, whatever the categories; None without truth or answer."""
    blind_truths = truths._replace(category=np.zeros_like(truths.category))
    blind_answers = answers._replace(category=np.zeros_like(answers.category))
    hits = pair(blind_truths, blind_answers, ignored=ignored).get(0)
    if hits is None or not len(hits.score):
        return None
    recall, precision = hits.curve()
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    # Of answers with one score all pass a threshold or none.
    f1[:-1][np.diff(hits.score) == 0] = -1
    best = int(f1.argmax())
    return BestThreshold(float(hits.score[best]), float(precision[best]), float(recall[best]), float(f1[best]))

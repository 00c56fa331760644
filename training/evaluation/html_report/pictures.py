"""The pictures that a model does best and worst on, with what is labelled and what is found drawn in."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.answers.detections import Detections
from model.geometry import box_iou
from model.wordtree import WordTree
from training.data.pictures.picture import BoxedPicture
from training.evaluation.challenges import LEAST_IOU
from training.evaluation.inference import Found, open_picture
from training.pages.drawing import GREEN, ORANGE, Canvas


class Judged(NamedTuple):
    """A picture's number in its set and its F1, 0 to 1: of the model's answers that are right, and boxes found."""

    number: int
    f1: float


def judge(tree: WordTree, found: Sequence[Found]) -> list[Judged]:
    """Return the pictures with a labelled box, the best first; of equal ones those with more boxes.

    An answer, at the model file's thresholds, is right if it overlaps a labelled box by IOU .5 or more and its label
    lies on one line from root to leaf with that of the box; the best answer takes a box first.
    """
    judged = []
    for number, one in enumerate(found):
        boxes, nodes = one.labelled()
        if len(nodes):
            hits = _hits(tree, boxes, nodes, one.served)
            judged.append((2 * hits / (len(nodes) + len(one.served)), len(nodes), number))
    judged.sort(key=lambda entry: (-entry[0], -entry[1], entry[2]))
    return [Judged(number, f1) for f1, _, number in judged]


def worst_first(tree: WordTree, found: Sequence[Found]) -> list[Judged]:
    """Return what `judge` does, the worst first; of equal ones those with more boxes."""
    judged = judge(tree, found)
    return sorted(judged, key=lambda one: (one.f1, -len(found[one.number].labelled()[1]), one.number))


def _hits(tree: WordTree, boxes: NDArray[np.float32], nodes: NDArray[np.int32], served: Detections) -> int:
    right = box_iou(served.boxes, boxes) >= LEAST_IOU
    right &= np.asarray(tree.same_lineage(served.nodes[:, None], nodes[None, :]))
    hits = 0
    for row in right:  # by descending score
        if row.any():
            right[:, int(row.argmax())] = False
            hits += 1
    return hits


def draw(tree: WordTree, picture: BoxedPicture, served: Detections) -> bytes:
    """Return a JPEG file of a picture with its labelled boxes (green) and the model's answers (orange).

    Raises:
        InvalidDatasetError: the picture cannot be read any more.
    """
    image, picture = open_picture(picture)
    canvas = Canvas(image)
    for box, node in zip(picture.boxes.tolist(), picture.nodes.tolist(), strict=True):
        canvas.draw(box, tree.names[node], GREEN, below=True)
    for row in reversed(range(len(served))):
        text = f"{tree.names[int(served.nodes[row])]} {served.scores[row]:.2f}"
        canvas.draw(served.boxes[row].tolist(), text, ORANGE, below=False)
    return canvas.jpeg()

"""How right the walked answers are: whether they lie on the line from the root to the true synset.

For every labelled box (those of crowds aside) the detected box that overlaps it most is looked up, among all
that the detector gave before any suppression; of equal overlaps the one with the higher objectness. Where
that overlap is at least IOU .5 the labelled box is matched. Several labelled boxes may share a detected one:
this measures what the model says of a thing it has put a box around, not how it tells things apart.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from model.geometry import box_iou
from model.wordtree import WordTree

MATCH_IOU = 0.5


class LineageAccuracy(BaseModel):
    """What the walked labels of the matched boxes say of the truth; the four counts add up to those matched.

    Attributes:
        hierarchy_threshold: the least absolute probability the walk went on with.
        exact: the label is the true synset.
        more_specific: the label lies below the true synset, so the path still contains it.
        ancestor: the label lies above the true synset: right as far as it goes.
        wrong: the label is on another branch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hierarchy_threshold: float
    exact: int
    more_specific: int
    ancestor: int
    wrong: int

    @property
    def accuracy(self) -> float | None:
        """The share of matched boxes whose path contains the true synset; None where none was matched."""
        matched = self.exact + self.more_specific + self.ancestor + self.wrong
        return (self.exact + self.more_specific) / matched if matched else None


@dataclass(frozen=True, eq=False)
class Matches:
    """The matched boxes of one picture: truth [M], which labelled box; box [M], which detected box."""

    truth: NDArray[np.int64]
    box: NDArray[np.int64]


def match(truths: NDArray[np.float32], boxes: NDArray[np.float32], objectness: NDArray[np.float32]) -> Matches:
    """Find for each labelled box [N, 4] the detected box [K, 4] that overlaps it most, as the module says."""
    if not len(truths) or not len(boxes):
        return Matches(np.empty(0, np.int64), np.empty(0, np.int64))
    by_objectness = np.argsort(-objectness, kind="stable")
    overlap = box_iou(truths, boxes[by_objectness])
    best = overlap.argmax(axis=1)
    matched = np.flatnonzero(overlap[np.arange(len(truths)), best] >= MATCH_IOU)
    return Matches(matched, by_objectness[best[matched]])


def lineage_accuracy(
    tree: WordTree, labels: NDArray[np.int32], nodes: NDArray[np.int32], hierarchy_threshold: float
) -> LineageAccuracy:
    """Count how the walked labels [M] relate to the true synsets [M]; both are indices of the tree."""
    exact = labels == nodes
    below = np.asarray(tree.is_within(labels, nodes)) & ~exact
    above = np.asarray(tree.is_within(nodes, labels)) & ~exact
    return LineageAccuracy(
        hierarchy_threshold=hierarchy_threshold,
        exact=int(exact.sum()),
        more_specific=int(below.sum()),
        ancestor=int(above.sum()),
        wrong=int((~(exact | below | above)).sum()),
    )

"""Which kinds are taken for which: what a person sees who looks at the answers."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from model.answers.detections import Detections
from model.wordtree import WordTree
from training.evaluation.lineage import match

MOST: Final = 20
"""Confusions of a set that a report lists."""


class Confusion(BaseModel):
    """Objects of one kind that were called another.

    Attributes:
        truth, truth_name: the labelled concept.
        said, said_name: the label of the answer. It is neither the truth nor above or below it.
        count: how many objects.
        probability: of what was said, the mean.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    truth: str
    truth_name: str
    said: str
    said_name: str
    count: int
    probability: float


def confusions(
    tree: WordTree, pictures: Iterable[tuple[NDArray[np.float32], NDArray[np.int32], Detections]]
) -> tuple[Confusion, ...]:
    """Return the most frequent confusions, of equally frequent ones the surest first.

    Args:
        tree: of the labels.
        pictures: of each the labelled boxes [N, 4], their nodes [N], and what is answered; `match` says which answer
            is compared with which labelled box.
    """
    found: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for boxes, nodes, answers in pictures:
        matches = match(boxes, answers.boxes, answers.objectness)
        truths, said = nodes[matches.truth], answers.nodes[matches.box]
        probabilities = answers.probabilities[matches.box, answers.lengths[matches.box] - 1]
        for place in np.flatnonzero(~np.asarray(tree.same_lineage(truths, said))).tolist():
            found[int(truths[place]), int(said[place])].append(float(probabilities[place]))
    every = [
        Confusion(
            truth=tree.wnids[truth],
            truth_name=tree.names[truth],
            said=tree.wnids[said],
            said_name=tree.names[said],
            count=len(probabilities),
            probability=sum(probabilities) / len(probabilities),
        )
        for (truth, said), probabilities in found.items()
    ]
    return tuple(sorted(every, key=lambda one: (-one.count, -one.probability, one.truth, one.said))[:MOST])

"""Scores of a classifier: top-1 and top-5, and how right its answers are along the tree."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.utils.data import Sampler

from model.answers.walk import walk
from model.wordtree import WordTree
from training.data.batches import load_batches
from training.data.mixture import SampleRequest
from training.data.views import Views
from training.evaluation.lineage import LineageAccuracy, lineage_accuracy
from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.backbones.classifier import Classifier
from training.runs.computing import LoopConfiguration

THRESHOLDS: Final = (0.0, 0.5)
"""Least absolute probability to walk on with; 0 walks to a leaf."""
MOST: Final = 5
BATCH: Final = 32


class ClassifierScores(BaseModel):
    """What a classifier scores on the middle of pictures.

    Attributes:
        pictures: their number. size: side of the input, px.
        top1, top5: share of pictures whose label is the likeliest of all labels, or one of the five likeliest.
        lineage: with a hierarchical softmax how right the walked answers are, one entry a threshold; else empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pictures: int
    size: int
    top1: float
    top5: float
    lineage: tuple[LineageAccuracy, ...]

    def table(self) -> str:
        """Return the scores as lines of text."""
        lines = [f"{self.pictures} pictures at {self.size} px: top-1 {self.top1:.1%}, top-5 {self.top5:.1%}"]
        lines += [
            f"walked at {one.hierarchy_threshold:g}: exact {one.exact}, more specific {one.more_specific}, "
            f"ancestor {one.ancestor}, wrong {one.wrong}"
            for one in self.lineage
        ]
        return "\n".join(lines)


class _Once(Sampler[list[SampleRequest]]):
    """Every picture once, in order."""

    def __init__(self, pictures: int, size: int) -> None:
        self.pictures, self.size = pictures, size

    def __iter__(self) -> Iterator[list[SampleRequest]]:
        for first in range(0, self.pictures, BATCH):
            yield [SampleRequest(item, item, self.size) for item in range(first, min(first + BATCH, self.pictures))]


@torch.no_grad()
def score_classifier(
    network: Classifier,
    subset: WordTree | None,
    labels: NDArray[np.int64],
    views: Views,
    size: int,
    loop: LoopConfiguration,
) -> ClassifierScores:
    """Score a classifier; it is left in evaluation mode.

    Args:
        network: with its weights, on its device.
        subset: the tree of its columns; None for a flat softmax.
        labels: ascending columns that compete for top-1 and top-5: those of the training pictures' own labels.
        views: the pictures.
        size: side of the input, px.
        loop: its workers prepare the pictures, its precision is computed in.
    """
    network.eval()
    device = next(network.parameters()).device
    softmax = None if subset is None else HierarchicalSoftmax(subset).to(device)
    columns = torch.from_numpy(labels).to(device)
    found, logits, truths = [], [], []
    for batch in load_batches(views, _Once(len(views), size), loop.workers):
        pictures = batch.pictures.to(device).permute(0, 3, 1, 2).float()
        with loop.autocast(device):
            answer: Tensor = network(pictures).float()
        scores = answer if softmax is None else softmax.log_absolutes(softmax.log_conditionals(answer))
        best = scores[:, columns].topk(min(MOST, len(columns)), dim=1).indices
        found.append(columns[best].cpu())
        truths.append(batch.targets.class_only_nodes)
        if subset is not None:
            logits.append(answer.cpu())
    truth = torch.cat(truths)
    right = torch.cat(found) == truth[:, None]
    return ClassifierScores(
        pictures=len(truth),
        size=size,
        top1=float(right[:, 0].float().mean()),
        top5=float(right.any(1).float().mean()),
        lineage=() if subset is None else _lineage(subset, torch.cat(logits), truth),
    )


def _lineage(tree: WordTree, logits: Tensor, truth: Tensor) -> tuple[LineageAccuracy, ...]:
    nodes = truth.numpy().astype(np.int32)
    return tuple(
        lineage_accuracy(tree, walk(tree, logits.numpy(), threshold=threshold).nodes, nodes, threshold)
        for threshold in THRESHOLDS
    )

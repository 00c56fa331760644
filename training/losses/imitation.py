"""The loss of a network of distances that agrees with a teacher, cell by cell: its kinds and where its boxes end.

Kinds are learned by quality focal loss from the teacher's scores, and sides by generalised IoU and by distribution
focal loss from its boxes (Li et al., "Generalized focal loss", NeurIPS 2020, sections 3.2 and 3.3), with NanoDet's
weights of 1, 2 and .25. Objectness learns from the teacher too, but with the truths: see `RegionLoss`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from training.iou import generalised_iou_of_pairs
from training.losses.teacher import Opinion
from training.networks.backbones.nanodet import DISTANCES, SIDES

LEAST_SCORE: Final = 0.08
"""Of a cell whose box is learned: below, a teacher's boxes lie anywhere."""
OVERLAP_WEIGHT: Final = 2.0
SIDES_WEIGHT: Final = 0.25
FARTHEST: Final = DISTANCES - 1.01  # cells; a distance lies between two whole ones


class Learner(NamedTuple):
    """What the network that learns says of the cells of one grid.

    boxes: [B, H, W, 4], decoded, with their gradient. kinds: [B, H, W, K] logits. sides: [B, H, W, 44], logits of
    distances.
    """

    boxes: Tensor
    kinds: Tensor
    sides: Tensor


class ImitationParts(NamedTuple):
    """The loss of a batch: sums over its cells, divided by its pictures."""

    taught_kinds: Tensor
    taught_boxes: Tensor

    def total(self) -> Tensor:
        """Return what is minimised."""
        return torch.stack(self).sum()


def imitation_loss(learners: Sequence[Learner], opinions: Sequence[Opinion], scale: float = 1.0) -> ImitationParts:
    """Return how far the network that learns is from its teacher.

    Args:
        learners: what it says on each grid.
        opinions: what the teacher says there.
        scale: weight of both parts.
    """
    pictures = len(opinions[0].boxes)
    kinds = torch.stack(
        [_kinds_apart(one.kinds, opinion.scores) for one, opinion in zip(learners, opinions, strict=True)]
    )
    boxes = torch.stack([_boxes_apart(one, opinion) for one, opinion in zip(learners, opinions, strict=True)])
    return ImitationParts(scale * kinds.sum() / pictures, scale * boxes.sum() / pictures)


def _kinds_apart(logits: Tensor, scores: Tensor) -> Tensor:
    """Return the quality focal loss of kinds [..., K], summed: cells that agree already count little."""
    logits = logits.to(scores.dtype)
    error = F.binary_cross_entropy_with_logits(logits, scores, reduction="none")
    return (error * (logits.sigmoid() - scores).square()).sum()


def _boxes_apart(learner: Learner, opinion: Opinion) -> Tensor:
    """Return how far the boxes of the cells of which the teacher says something are from its boxes, summed."""
    score = opinion.scores.amax(-1)
    picture, row, column = torch.nonzero((score > LEAST_SCORE) & (opinion.boxes[..., 2:] > 0).all(-1), as_tuple=True)
    weight, wanted = score[picture, row, column], opinion.boxes[picture, row, column]
    own = learner.boxes[picture, row, column].to(wanted.dtype)
    apart = OVERLAP_WEIGHT * (1 - generalised_iou_of_pairs(own, wanted))
    cells = wanted.new_tensor([score.shape[2], score.shape[1]])
    middle = torch.stack((column, row), dim=1) + 0.5
    first, last = (wanted[:, :2] - wanted[:, 2:] / 2) * cells, (wanted[:, :2] + wanted[:, 2:] / 2) * cells
    distances = torch.cat((middle - first, last - middle), dim=1).clamp(0, FARTHEST)
    sides = torch.unflatten(learner.sides[picture, row, column].to(wanted.dtype), -1, (SIDES, DISTANCES))
    return (weight * (apart + SIDES_WEIGHT * _distances_apart(sides, distances).mean(1))).sum()


def _distances_apart(sides: Tensor, distances: Tensor) -> Tensor:
    """Return the distribution focal loss [M, 4] of logits [M, 4, 11] for distances [M, 4], in cells."""
    below = distances.floor()
    part = distances - below
    likely = sides.log_softmax(-1)
    at = below.long().unsqueeze(-1)
    return -(likely.gather(2, at).squeeze(-1) * (1 - part) + likely.gather(2, at + 1).squeeze(-1) * part)

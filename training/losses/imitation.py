"""The loss of a network of distances that agrees with a teacher about the objects in a picture.

Which cell speaks for an object is for the network to say: two detectors of the same grids assign objects to them in
different ways, and to learn the teacher's way would cost what the network knows. (Cell by cell, after 200 steps at a
rate of 2e-4, AP50 on coco_val fell from .410 to .355 while the loss fell by a fifth.) So the cells that already answer
best for an object, by kind and overlap, learn the teacher's scores and its box, as in task-aligned assignment (Feng et
al., "TOOD", ICCV 2021, section 3.2.1). All others only learn to be no surer of a kind than the teacher is of an object
they overlap.

Scores are learned by quality focal loss, boxes by generalised IoU and by distribution focal loss (Li et al.,
"Generalized focal loss", NeurIPS 2020, sections 3.2 and 3.3), with NanoDet's weights of 1, 2 and .25.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from training.iou import generalised_iou_of_pairs, iou_of_pairs
from training.losses.teacher import Opinion
from training.networks.backbones.nanodet import DISTANCES, SIDES

ANSWERING: Final = 3  # cells for each object
SAME_OBJECT: Final = 0.5  # IOU from which a cell's box is about an object
OVERLAP_WEIGHT: Final = 2.0
SIDES_WEIGHT: Final = 0.25
FARTHEST: Final = DISTANCES - 1.01  # cells; a distance lies between two whole ones


class Learner(NamedTuple):
    """What the network that learns says of the N cells of all its grids, one grid after the other.

    boxes: [B, N, 4], centre x, centre y, width, height as fractions of the picture. kinds: [B, N, K] logits. sides:
    [B, N, 44], logits of distances. cells: [N, 3], the middle of each, in cells, and how many its grid has in a row.
    """

    boxes: Tensor
    kinds: Tensor
    sides: Tensor
    cells: Tensor


class Agreement(NamedTuple):
    """What the network would say if it agreed with its teacher.

    scores: [B, N, K], of each kind. picture, cell: [M] int64, cells that answer for objects. boxes: [M, 4], theirs.
    weight: [M], how sure the teacher is of them.
    """

    scores: Tensor
    picture: Tensor
    cell: Tensor
    boxes: Tensor
    weight: Tensor


class ImitationParts(NamedTuple):
    """The loss of a batch: sums over its cells, divided by its pictures."""

    taught_kinds: Tensor
    taught_boxes: Tensor

    def total(self) -> Tensor:
        """Return what is minimised."""
        return torch.stack(self).sum()


@torch.no_grad()
def agree(learner: Learner, opinions: Sequence[Opinion]) -> Agreement:
    """Return what the network should say of B pictures of which a teacher says `opinions`."""
    scores, pictures, cells, boxes, weights = [], [], [], [], []
    for number, opinion in enumerate(opinions):
        own = learner.kinds[number].to(opinion.scores.dtype).sigmoid()
        overlap = iou_of_pairs(learner.boxes[number].to(opinion.boxes.dtype)[:, None], opinion.boxes[None])
        goal = torch.minimum(own, _said(overlap, opinion.scores))
        weight, kind = opinion.scores.max(1)
        fitting = own[:, kind] * overlap * (overlap >= SAME_OBJECT)
        best = fitting.topk(min(ANSWERING, len(own)), dim=0)
        cell, thing = best.indices.T.flatten(), torch.arange(len(weight), device=goal.device)
        thing = thing.repeat_interleave(len(best.indices))
        answers = best.values.T.flatten() > 0
        cell, thing = cell[answers], thing[answers]
        scores.append(_greatest(goal, cell, opinion.scores[thing]))
        pictures.append(torch.full_like(cell, number))
        cells.append(cell)
        boxes.append(opinion.boxes[thing])
        weights.append(weight[thing])
    return Agreement(torch.stack(scores), *(torch.cat(each) for each in (pictures, cells, boxes, weights)))


def _said(overlap: Tensor, scores: Tensor) -> Tensor:
    """Return what a teacher says of kinds [N, K] where boxes overlap [N, J] its objects with scores [J, K]."""
    about, thing = torch.nonzero(overlap >= SAME_OBJECT, as_tuple=True)
    return _greatest(scores.new_zeros(len(overlap), scores.shape[1]), about, scores[thing])


def _greatest(values: Tensor, rows: Tensor, others: Tensor) -> Tensor:
    """Return values [N, K], but in `rows` [M] the greatest of them and of others [M, K]; rows may come twice."""
    return values.scatter_reduce(0, rows[:, None].expand_as(others), others, "amax")


def imitation_loss(
    learner: Learner, agreement: Agreement, kinds_scale: float = 1.0, boxes_scale: float = 1.0
) -> ImitationParts:
    """Return how far the network that learns is from agreeing with its teacher.

    Args:
        learner: what it says.
        agreement: what it should say.
        kinds_scale, boxes_scale: weights of the two parts.
    """
    logits = learner.kinds.to(agreement.scores.dtype)
    error = F.binary_cross_entropy_with_logits(logits, agreement.scores, reduction="none")
    kinds = (error * (logits.sigmoid() - agreement.scores).square()).sum()
    boxes = _boxes_apart(learner, agreement)
    return ImitationParts(kinds_scale * kinds / len(logits), boxes_scale * boxes / len(logits))


def _boxes_apart(learner: Learner, agreement: Agreement) -> Tensor:
    """Return how far the boxes of the cells that answer for objects are from the teacher's, summed."""
    place, wanted = (agreement.picture, agreement.cell), agreement.boxes
    apart = OVERLAP_WEIGHT * (1 - generalised_iou_of_pairs(learner.boxes[place].to(wanted.dtype), wanted))
    cells = learner.cells[agreement.cell].to(wanted.dtype)
    middle, count = cells[:, :2], cells[:, 2:]
    first, last = (wanted[:, :2] - wanted[:, 2:] / 2) * count, (wanted[:, :2] + wanted[:, 2:] / 2) * count
    distances = torch.cat((middle - first, last - middle), dim=1).clamp(0, FARTHEST)
    sides = torch.unflatten(learner.sides[place].to(wanted.dtype), -1, (SIDES, DISTANCES))
    return (agreement.weight * (apart + SIDES_WEIGHT * _distances_apart(sides, distances).mean(1))).sum()


def _distances_apart(sides: Tensor, distances: Tensor) -> Tensor:
    """Return the distribution focal loss [M, 4] of logits [M, 4, 11] for distances [M, 4], in cells."""
    below = distances.floor()
    part = distances - below
    likely = sides.log_softmax(-1)
    at = below.long().unsqueeze(-1)
    return -(likely.gather(2, at).squeeze(-1) * (1 - part) + likely.gather(2, at + 1).squeeze(-1) * part)

"""Which box answers for which truth: the assignments of the region loss (darknet's `forward_region_layer`)."""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.parts.detector import BoxIndex, Detector, Prediction

LEAST_AREA: Final = 1e-12  # of a picture; keeps divisions finite


ROWS_AT_ONCE: Final = 1024
"""Boxes whose class logits are in memory while the best of a grid is sought: 39 MB of 9,418 nodes a tensor."""


class Truths(NamedTuple):
    """What is true of a batch of B pictures.

    boxes: [T, 4] centre x, centre y, width, height of every object, as fractions of the letterboxed picture.
    nodes: [T] int64, their labels: nodes of the trained tree.
    picture: [T] int64, the picture each belongs to.
    negative_weight: [B], how much "there is no object" counts in each picture: 1 where every object is labelled, less
        where some are not, 0 for pictures that have a label but no boxes.
    class_only_pictures: [L] int64, the pictures that have a label but no boxes.
    class_only_nodes: [L] int64, their labels.
    """

    boxes: Tensor
    nodes: Tensor
    picture: Tensor
    negative_weight: Tensor
    class_only_pictures: Tensor
    class_only_nodes: Tensor


class Assignment(NamedTuple):
    """Boxes responsible for truths.

    truth: [K] int64, the number of the truth.
    boxes: the box responsible for it; no box occurs twice.
    """

    truth: Tensor
    boxes: BoxIndex


def assign_anchors(
    truths: Truths, anchors: Tensor, height: int, width: int, further_iou: float | None = None
) -> Assignment:
    """Give each truth the cell of its centre and the anchor of the best shape IOU.

    Where two truths want one box the later one has it, as in darknet.

    Args:
        truths: the T objects.
        anchors: [A, 2], cells.
        height, width: of the grid, cells.
        further_iou: other anchors of that cell whose shape IOU is at least this answer for the truth too, where they
            are no truth's best; None: none do, as in darknet.
    """
    scale = truths.boxes.new_tensor([width, height])
    cells = (truths.boxes[:, :2] * scale).long()
    column = cells[:, 0].clamp(0, width - 1)
    row = cells[:, 1].clamp(0, height - 1)
    overlap = shape_iou(truths.boxes[:, 2:] * scale, anchors.to(truths.boxes.dtype))
    truth = torch.arange(len(overlap), device=overlap.device)
    anchor = overlap.argmax(1)
    if further_iou is not None:
        further = torch.nonzero(overlap >= further_iou)
        # in front: a later pair takes the box of an earlier one
        truth, anchor = torch.cat((further[:, 0], truth)), torch.cat((further[:, 1], anchor))
    place = ((truths.picture[truth] * len(anchors) + anchor) * height + row[truth]) * width + column[truth]
    if len(place):
        unique, inverse = torch.unique(place, return_inverse=True)
        order = torch.arange(len(place), device=place.device)
        last = torch.zeros_like(unique).scatter_reduce(0, inverse, order, "amax", include_self=False)
        truth, anchor = truth[last], anchor[last]
    return Assignment(truth, BoxIndex(truths.picture[truth], anchor, row[truth], column[truth]))


def shape_iou(sizes: Tensor, anchors: Tensor) -> Tensor:
    """Return the IOU [T, A] of sizes [T, 2] and anchors [A, 2] laid on one centre."""
    shared = torch.minimum(sizes[:, None], anchors).prod(-1)
    return shared / (sizes.prod(-1)[:, None] + anchors.prod(-1) - shared)


def iou_of_pairs(first: Tensor, second: Tensor) -> Tensor:
    """Return the IOU [...] of boxes [..., 4] (centre x, centre y, width, height) taken pairwise, broadcasting."""
    shared, union = _shared_and_union(first, second)
    return shared / union


def generalised_iou_of_pairs(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalised IOU [...] of boxes [..., 4] taken pairwise, -1 to 1 (Rezatofighi et al., CVPR 2019).

    It is the IOU less the part of the least box around both that neither covers: it grows as boxes come nearer, even
    where they do not touch.
    """
    shared, union = _shared_and_union(first, second)
    low = torch.minimum(first[..., :2] - first[..., 2:] / 2, second[..., :2] - second[..., 2:] / 2)
    high = torch.maximum(first[..., :2] + first[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2)
    around = (high - low).prod(-1).clamp(min=LEAST_AREA)
    return shared / union - (around - union) / around


def _shared_and_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return the areas [...] of intersection and union, the latter never 0."""
    low = torch.maximum(first[..., :2] - first[..., 2:] / 2, second[..., :2] - second[..., 2:] / 2)
    high = torch.minimum(first[..., :2] + first[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2)
    shared = (high - low).clamp(min=0).prod(-1)
    union = first[..., 2:].prod(-1) + second[..., 2:].prod(-1) - shared
    return shared, union.clamp(min=LEAST_AREA)


def best_iou(boxes: Tensor, truths: Truths) -> Tensor:
    """Return for each box of [B, A, H, W, 4] its best IOU [B, A, H, W] with a truth of its picture, 0 without any.

    Truths are laid out as a padded [B, most truths of a picture] table: memory is B * A * H * W * that most.
    """
    batch = len(boxes)
    if not len(truths.boxes):
        return boxes.new_zeros(boxes.shape[:-1])
    counts = torch.bincount(truths.picture, minlength=batch)
    order = truths.picture.argsort(stable=True)
    start = counts.cumsum(0) - counts
    slot = torch.arange(len(order), device=order.device) - start[truths.picture[order]]
    table = boxes.new_zeros(batch, int(counts.max()), 4)
    table[truths.picture[order], slot] = truths.boxes[order].to(boxes.dtype)
    overlap = iou_of_pairs(boxes.flatten(1, 3)[:, :, None], table[:, None])
    return overlap.amax(2).view(boxes.shape[:-1])


@torch.no_grad()
def class_only_boxes(
    detector: Detector, prediction: Prediction, truths: Truths, softmax: HierarchicalSoftmax, candidates: int
) -> BoxIndex:
    """Return the box with the highest objectness x P(label) of each picture that has a label but no boxes.

    Args:
        detector: gives the class logits of the boxes considered.
        prediction: what it said of the batch.
        truths: names the pictures and their labels.
        softmax: turns logits to P(label).
        candidates: only this many boxes of highest objectness are considered; 0: all of them. The class layer costs
            more than the rest of a network when it is computed for a whole grid. Its rows are never all in memory.
    """
    pictures = truths.class_only_pictures
    objectness = prediction.boxes[pictures][..., 4]
    _, anchors, height, width = objectness.shape
    boxes = anchors * height * width
    count = min(candidates or boxes, boxes)
    score, place = objectness.flatten(1).sigmoid().topk(count, dim=1)
    index = BoxIndex(
        pictures[:, None].expand_as(place).flatten(),
        (place // (height * width)).flatten(),
        (place // width % height).flatten(),
        (place % width).flatten(),
    )
    labels = truths.class_only_nodes[:, None].expand_as(place).flatten()
    logarithms = []
    for first in range(0, len(labels), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        logits = detector.class_logits(prediction.features, BoxIndex(*(part[rows] for part in index)))
        logarithms.append(softmax.path_log_probability(softmax.log_conditionals(logits), labels[rows]))
    best = (score * torch.cat(logarithms).exp().view_as(score)).argmax(1)
    chosen = best + torch.arange(len(best), device=best.device) * count
    return BoxIndex(*(part[chosen] for part in index))

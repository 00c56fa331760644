"""Which box answers for which truth: the assignments of the region loss (darknet's `forward_region_layer`)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from training.iou import iou_of_pairs, shape_iou
from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.parts.detector import BoxIndex, Chosen, Detector, Prediction, on_grids
from training.targets import Targets

CELLS_A_TRUTH: Final = 6
MERIT_POWER: Final = 4
LEAST_MERIT: Final = 0.05  # so that a truth whose cells all say "nothing" has the best of them all the same
LEAST_OVERLAP: Final = 0.02
FARTHEST: Final = 9.5  # cells from a cell's middle to a side; a distance is 10 at most

ROWS_AT_ONCE: Final = 1024
"""Boxes whose class logits are in memory while the best of a grid is sought: 39 MB of 9,418 nodes a tensor."""


class Grid(NamedTuple):
    """A grid of boxes: its anchors [A, 2] in cells, and its height and width in cells."""

    anchors: Tensor
    height: int
    width: int


class Assignment(NamedTuple):
    """Boxes of one grid that are responsible for objects.

    truth: [K] int64, the number of the truth.
    boxes: the box responsible for it; no box occurs twice.
    quality: [K], 0 to 1, how well each answers, in networks where several boxes answer for a truth; None: one does.
    """

    truth: Tensor
    boxes: BoxIndex
    quality: Tensor | None = None


def assign_anchors(targets: Targets, grids: Sequence[Grid], further_iou: float | None = None) -> tuple[Assignment, ...]:
    """Give each truth the anchor of the best shape IOU, of those of all grids, in the cell of its centre.

    Where two targets want one box the later one has it, as in darknet.

    Args:
        targets: the T objects.
        grids: where they may be answered for.
        further_iou: other anchors whose shape IOU is at least this answer for the truth too, where they are no truth's
            best; None: none do, as in darknet.
    """
    scales = [targets.boxes.new_tensor([grid.width, grid.height]) for grid in grids]
    shapes = [grid.anchors.to(targets.boxes.dtype) for grid in grids]
    as_first = torch.cat([shape * (scales[0] / scale) for shape, scale in zip(shapes, scales, strict=True)])
    overlap = shape_iou(targets.boxes[:, 2:] * scales[0], as_first)
    truth = torch.arange(len(overlap), device=overlap.device)
    anchor = overlap.argmax(1)
    if further_iou is not None:
        further = torch.nonzero(overlap >= further_iou)
        # in front: a later pair takes the box of an earlier one
        truth, anchor = torch.cat((further[:, 0], truth)), torch.cat((further[:, 1], anchor))
    found, first = [], 0
    for grid, scale in zip(grids, scales, strict=True):
        here = (anchor >= first) & (anchor < first + len(grid.anchors))
        found.append(_assign(targets, truth[here], anchor[here] - first, grid, scale))
        first += len(grid.anchors)
    return tuple(found)


def _assign(targets: Targets, truth: Tensor, anchor: Tensor, grid: Grid, scale: Tensor) -> Assignment:
    """Return which boxes of a grid are responsible, given pairs of a truth and an anchor [K] in rising importance."""
    cells = (targets.boxes[truth, :2] * scale).long()
    column = cells[:, 0].clamp(0, grid.width - 1)
    row = cells[:, 1].clamp(0, grid.height - 1)
    number = ((targets.picture[truth] * len(grid.anchors) + anchor) * grid.height + row) * grid.width + column
    last = _last_of_each(number)
    truth, anchor, row, column = truth[last], anchor[last], row[last], column[last]
    return Assignment(truth, BoxIndex(targets.picture[truth], anchor, row, column))


def _last_of_each(number: Tensor) -> Tensor:
    """Return where each of the numbers [K] occurs for the last time, by ascending number."""
    unique, inverse = torch.unique(number, return_inverse=True)
    order = torch.arange(len(number), device=number.device)
    return torch.zeros_like(unique).scatter_reduce(0, inverse, order, "amax", include_self=False)


@torch.no_grad()
def assign_cells(
    targets: Targets, boxes: Sequence[Tensor], objectness: Sequence[Tensor], grids: Sequence[Grid]
) -> tuple[Assignment, ...]:
    """Give each truth the few cells, of all grids, that answer for it best already.

    For networks whose boxes are distances from a cell's middle (`Location.DISTANCES`): any cell inside an object, or
    beside the middle of a small one, can say where it ends, and which do it best shows in training. A cell's merit is
    sqrt(objectness) * IOU ** MERIT_POWER; its quality is the part of the truth's greatest merit that it has, times the
    truth's best IOU (after Feng et al., "TOOD", ICCV 2021, section 3.2). A cell that two targets want has the one it
    answers for better.

    Args:
        targets: the T objects.
        boxes: of each grid [B, 1, H, W, 4], decoded.
        objectness: of each grid [B, 1, H, W], logits.
        grids: their sizes.
    """
    shapes = [(1, grid.height, grid.width) for grid in grids]
    cells = torch.cat([_cells(grid, targets.boxes) for grid in grids])
    found = torch.cat([one.flatten(1, 3) for one in boxes], dim=1).to(targets.boxes.dtype)
    likely = torch.cat([one.flatten(1) for one in objectness], dim=1).sigmoid().to(found.dtype)
    away = (cells[None, :, :2] - targets.boxes[:, None, :2]).abs()
    sizes = targets.boxes[:, None, 2:]
    allowed = ((away < sizes / 2) | (away < cells[None, :, 2:])).all(2)
    allowed &= (sizes / 2 < FARTHEST * cells[None, :, 2:]).all(2)
    overlap = iou_of_pairs(targets.boxes[:, None], found[targets.picture])
    merit = (likely[targets.picture].sqrt() + LEAST_MERIT) * (overlap + LEAST_OVERLAP) ** MERIT_POWER * allowed
    best, place = merit.topk(min(CELLS_A_TRUTH, merit.shape[1]), dim=1)
    truth = torch.arange(len(best), device=best.device)[:, None].expand_as(place)
    truth, place, merit = (each[best > 0] for each in (truth, place, best))
    rising = merit.argsort()
    mine = rising[_last_of_each((targets.picture[truth] * len(cells) + place)[rising])]
    truth, place, merit = truth[mine], place[mine], merit[mine]
    none = merit.new_zeros(len(targets.boxes))
    most = none.scatter_reduce(0, truth, merit, "amax")
    nearest = none.scatter_reduce(0, truth, overlap[truth, place], "amax")
    quality = merit / most[truth] * nearest[truth]
    chosen = on_grids(targets.picture[truth], place, shapes)
    return tuple(Assignment(truth[each.rows], each.boxes, quality[each.rows]) for each in chosen)


def _cells(grid: Grid, like: Tensor) -> Tensor:
    """Return the cells [H * W, 4] of a grid: their middle's x and y, their width and height, parts of the picture."""
    x = (torch.arange(grid.width, device=like.device, dtype=like.dtype) + 0.5) / grid.width
    y = (torch.arange(grid.height, device=like.device, dtype=like.dtype) + 0.5) / grid.height
    middle = torch.stack((x.expand(grid.height, -1), y[:, None].expand(-1, grid.width)), dim=2).flatten(0, 1)
    return torch.cat((middle, like.new_tensor([1 / grid.width, 1 / grid.height]).expand(len(middle), -1)), dim=1)


def best_iou(boxes: Tensor, targets: Targets) -> Tensor:
    """Return for each box of [B, A, H, W, 4] its best IOU [B, A, H, W] with a truth of its picture, 0 without any.

    Targets are laid out as a padded [B, most targets of a picture] table: memory is B * A * H * W * that most.
    """
    batch = len(boxes)
    if not len(targets.boxes):
        return boxes.new_zeros(boxes.shape[:-1])
    counts = torch.bincount(targets.picture, minlength=batch)
    order = targets.picture.argsort(stable=True)
    start = counts.cumsum(0) - counts
    slot = torch.arange(len(order), device=order.device) - start[targets.picture[order]]
    table = boxes.new_zeros(batch, int(counts.max()), 4)
    table[targets.picture[order], slot] = targets.boxes[order].to(boxes.dtype)
    overlap = iou_of_pairs(boxes.flatten(1, 3)[:, :, None], table[:, None])
    return overlap.amax(2).view(boxes.shape[:-1])


@torch.no_grad()
def class_only_boxes(
    detector: Detector,
    predictions: Sequence[Prediction],
    targets: Targets,
    softmax: HierarchicalSoftmax,
    candidates: int,
) -> tuple[Chosen, ...]:
    """Return, for each grid, the boxes with the highest objectness x P(label) of pictures with a label but no boxes.

    Every such picture has one, on one of the grids.

    Args:
        detector: gives the class logits of the boxes considered.
        predictions: what it said of the batch on each grid.
        targets: names the pictures and their labels.
        softmax: turns logits to P(label).
        candidates: only this many boxes of highest objectness are considered; 0: all of them. The class layer costs
            more than the rest of a network when it is computed for a whole grid. Its rows are never all in memory.
    """
    pictures = targets.class_only_pictures
    shapes = [(one.boxes.shape[1], one.boxes.shape[2], one.boxes.shape[3]) for one in predictions]
    objectness = torch.cat([one.boxes[pictures][..., 4].flatten(1) for one in predictions], dim=1)
    count = min(candidates or objectness.shape[1], objectness.shape[1])
    score, place = objectness.sigmoid().topk(count, dim=1)
    picture = pictures[:, None].expand_as(place).flatten()
    labels = targets.class_only_nodes[:, None].expand_as(place).flatten()
    logarithms = score.new_zeros(len(labels))
    for grid in zip(predictions, on_grids(picture, place.flatten(), shapes), strict=True):
        prediction, (rows, boxes) = grid
        for first in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(first, first + ROWS_AT_ONCE)
            logits = detector.class_logits(prediction.features, BoxIndex(*(each[part] for each in boxes)))
            likely = softmax.path_log_probability(softmax.log_conditionals(logits), labels[rows[part]])
            logarithms[rows[part]] = likely.to(logarithms.dtype)
    best = (score * logarithms.exp().view_as(score)).argmax(1)
    return on_grids(pictures, place.gather(1, best[:, None]).squeeze(1), shapes)

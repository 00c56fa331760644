"""The overlap of boxes, as tensors; `model.geometry.box_iou` has that of corners in arrays."""

from typing import Final

import torch
from torch import Tensor

LEAST_AREA: Final = 1e-12  # of a picture; keeps divisions finite


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


def left_by_suppression(overlapping: Tensor, count: int) -> Tensor:
    """Return which boxes greedy suppression leaves, [at most `count`] int64.

    Args:
        overlapping: bool [K, K], which of K boxes suppress each other; the surest box stands first.
        count: how many are asked for.
    """
    free = torch.ones(len(overlapping), dtype=torch.bool)
    left: list[int] = []
    while len(left) < count and free.any():
        left.append(int(free.int().argmax()))
        free &= ~overlapping[left[-1]]
        free[left[-1]] = False
    return torch.tensor(left, dtype=torch.int64)


def _shared_and_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return the areas [...] of intersection and union, the latter never 0."""
    low = torch.maximum(first[..., :2] - first[..., 2:] / 2, second[..., :2] - second[..., 2:] / 2)
    high = torch.minimum(first[..., :2] + first[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2)
    shared = (high - low).clamp(min=0).prod(-1)
    union = first[..., 2:].prod(-1) + second[..., 2:].prod(-1) - shared
    return shared, union.clamp(min=LEAST_AREA)

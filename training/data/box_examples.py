"""Boxes that a detector is unsure of, what it sees of them, and how well each fits an object."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.data.augmentation.background import background
from training.iou import iou_of_pairs, left_by_suppression
from training.networks.parts.box_quality import seen_of_boxes
from training.networks.parts.detector import Prediction, on_grids
from training.networks.yolov2_lite import YOLOv2Lite
from training.targets import Targets

LEAST_OBJECTNESS: Final = 0.03  # of a box that is worth a second look
MOST: Final = 600  # boxes of a picture that are considered, the surest
SAME_OBJECT: Final = 0.6  # IOU from which two boxes are one answer
NEAR: Final = 0.4  # IOU from which a box is about an object
DOUBTED: Final = 0.3  # IOU with what a teacher doubts from which nobody says that a box shows nothing


class BoxExamples(NamedTuple):
    """K boxes.

    seen: [K, D] float16, what their quality is judged by.
    objectness: [K], logits.
    overlap: [K], the greatest IOU with an object, 0 to 1.
    answer: bool [K], whether suppression would leave the box.
    sources: [K] int64, the set each comes from.
    """

    seen: Tensor
    objectness: Tensor
    overlap: Tensor
    answer: Tensor
    sources: Tensor


@torch.no_grad()
def examples_of(
    detector: YOLOv2Lite,
    predictions: Sequence[Prediction],
    targets: Targets,
    sources: Tensor,
    count: int,
    generator: torch.Generator,
    *,
    nothing: bool = False,
) -> BoxExamples:
    """Pick boxes of a batch of B pictures.

    Of each picture that has an object with a box: what suppression leaves, two thirds of `count`, the surest; boxes
    about an object, a quarter; and any others. Boxes about what a teacher doubts are left out.

    Args:
        detector: in evaluation mode.
        predictions: what it said of the batch.
        targets: of the batch.
        sources: [B] int64, the set each picture comes from.
        count: boxes of a picture, at most.
        generator: picks.
        nothing: a picture without an object is known to show nothing, and as good as one with.
    """
    device = predictions[0].boxes.device
    boxes = torch.cat([one.features[-1].flatten(1, 3) for one in predictions], dim=1).float().cpu()
    logits = torch.cat([one.boxes[..., 4].flatten(1) for one in predictions], dim=1).float().cpu()
    picture, place, overlap, answer = [], [], [], []
    for number in range(len(boxes)):
        own = targets.picture == number
        objects = targets.boxes[own & (targets.confidence > 0)]
        order = logits[number].sigmoid().topk(min(MOST, logits.shape[1]))
        some = order.indices[order.values >= LEAST_OBJECTNESS]
        if not len(some) or not (len(objects) or nothing):
            continue
        here = boxes[number, some]
        best = iou_of_pairs(here[:, None], objects[None]).amax(1) if len(objects) else torch.zeros(len(here))
        doubted = iou_of_pairs(here[:, None], targets.boxes[own & (targets.confidence == 0)][None]) >= DOUBTED
        known = (best >= NEAR) | ~doubted.any(1)
        left = suppressed(here, 2 * count // 3)
        chosen = pick(left, best >= NEAR, count, generator)
        chosen = chosen[known[chosen]]
        picture.append(torch.full_like(chosen, number))
        place.append(some[chosen])
        overlap.append(best[chosen])
        answer.append(torch.isin(chosen, left))
    if not picture:
        empty = logits.new_zeros(0)
        return BoxExamples(empty.view(0, 0).half(), empty, empty, empty.bool(), empty.long())
    pictures, places = torch.cat(picture), torch.cat(place)
    shapes = [(one.boxes.shape[1], one.boxes.shape[2], one.boxes.shape[3]) for one in predictions]
    grids = on_grids(pictures.to(device), places.to(device), shapes)
    features, evidence, found, sure, sharp = detector.seen_of(predictions, [each.boxes for each in grids])
    rows = torch.cat([each.rows for each in grids]).cpu()
    seen = seen_of_boxes(features, evidence, found, sure, sharp).half().cpu()
    return BoxExamples(
        seen, sure.float().cpu(), torch.cat(overlap)[rows], torch.cat(answer)[rows], sources[pictures[rows]]
    )


@torch.no_grad()
def examples_of_backgrounds(
    detector: YOLOv2Lite, backgrounds: int, sizes: Sequence[int], source: int, count: int, seed: int
) -> BoxExamples | None:
    """Pick boxes of made-up pictures of nothing; None where the detector sees nothing in them either.

    Args:
        detector: in evaluation mode, on the device that computes.
        backgrounds: pictures.
        sizes: theirs in turn, px.
        source: the number of the set they are.
        count: boxes of a picture, at most.
        seed: of the pictures.
    """
    rows = []
    generator = torch.Generator().manual_seed(seed)
    for number in range(backgrounds):
        pixels = background(sizes[number % len(sizes)], np.random.default_rng((seed, number)))
        picture = torch.from_numpy(pixels)[None].to(detector.anchors.device).permute(0, 3, 1, 2).float()
        no_boxes, none = torch.zeros(0), torch.zeros(0, dtype=torch.int64)
        targets = Targets(no_boxes.view(0, 4), none, none, no_boxes, torch.ones(1), none, none)
        found = examples_of(
            detector, detector.grids(picture), targets, torch.tensor([source]), count, generator, nothing=True
        )
        rows += [found] if len(found.seen) else []
    return joined(rows) if rows else None


def joined(rows: Sequence[BoxExamples]) -> BoxExamples:
    """Return examples one after the other."""
    return BoxExamples(*(torch.cat(columns) for columns in zip(*rows, strict=True)))


def suppressed(boxes: Tensor, count: int) -> Tensor:
    """Return which boxes suppression leaves, [at most `count`] int64, of boxes [K, 4] that stand the surest first."""
    return left_by_suppression(iou_of_pairs(boxes[:, None], boxes[None]) > SAME_OBJECT, count)


def pick(left: Tensor, near: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return which boxes are learned from [at most `count`] int64: those left, some near an object, some others.

    Args:
        left: [L] int64, what suppression leaves.
        near: bool [K], whether a box is about an object.
        count: of them all.
        generator: picks.
    """
    other = torch.ones_like(near)
    other[left] = False
    shuffled = torch.randperm(len(near), generator=generator)
    close = shuffled[(other & near)[shuffled]][: count // 4]
    other[close] = False
    rest = shuffled[other[shuffled]][: max(0, count - len(left) - len(close))]
    return torch.cat((left, close, rest))

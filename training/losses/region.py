"""The region loss: what YOLOv2 and YOLO9000 are trained with.

Sources: paper sections 2 and 4; darknet's `forward_region_layer` for what the paper leaves out (the scales, the
anchor prior of the first pictures, the ignore threshold, rescore). Two places differ, each an option of the
configuration: objectness may be learned by cross-entropy instead of a squared error, and pictures whose boxes are not
exhaustive (only some objects are labelled) need give no negatives.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn
from torch.nn import functional as F

from training.iou import generalised_iou_of_pairs, iou_of_pairs
from training.losses.assignment import Assignment, Grid, assign_anchors, assign_cells, best_iou, class_only_boxes
from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.parts.detector import (
    BoxIndex,
    Detector,
    Location,
    Prediction,
    decode_boxes,
    decode_chosen,
)
from training.targets import NO_NODE, Targets


class ObjectnessLoss(StrEnum):
    """How objectness is learned."""

    SQUARED = "squared"
    CROSS_ENTROPY = "cross-entropy"
    FOCAL = "focal"


class RegionLossConfiguration(BaseModel):
    """The constants of the loss; the defaults are those of yolo9000.cfg and yolov2-voc.cfg."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    object_scale: NonNegativeFloat = Field(
        5, description="weight of objectness where there is an object; 1 for yolov2-lite"
    )
    noobject_scale: NonNegativeFloat = Field(1, description="weight of objectness where there is none")
    class_scale: NonNegativeFloat = Field(1, description="weight of the class loss")
    coordinate_scale: NonNegativeFloat = Field(1, description="weight of the box loss")
    iou_scale: NonNegativeFloat = Field(
        0, description="weight of 1 - generalised IoU of a box and its truth, added to the box loss; 1 for yolov2-lite"
    )
    further_anchor_iou: float | None = Field(
        None,
        ge=0,
        le=1,
        description=(
            "anchors in a truth's cell whose shape overlaps it by at least this IoU learn it too;"
            " by default only the best one does"
        ),
    )
    ignore_iou: float = Field(
        0.6, ge=0, le=1, description="boxes that overlap a truth by more than this IoU are not negatives"
    )
    rescore: bool = Field(
        True, description="objectness learns the box's IoU with its truth instead of 1; off for yolov2-lite"
    )
    prior_pictures: NonNegativeInt = Field(
        12_800, description="for this many pictures all boxes are pulled to their anchors"
    )
    prior_scale: NonNegativeFloat = Field(0.01, description="weight of that pull")
    objectness: ObjectnessLoss = Field(
        ObjectnessLoss.SQUARED,
        description=(
            "squared error, cross-entropy, or focal: cross-entropy times the squared difference, "
            "so that the many easy cells count little (quality focal loss); focal for yolov2-lite"
        ),
    )
    class_only_iou: float = Field(
        0.3,
        ge=0,
        le=1,
        description="IoU assumed for the best box of a picture without boxes (paper section 4)",
    )
    crowd_power: float = Field(
        0,
        ge=0,
        le=1,
        description=(
            "the class loss of a picture is divided by its number of boxes to this power: with 0 "
            "every box counts the same, with 1 every picture does"
        ),
    )
    distillation_scale: NonNegativeFloat = Field(
        0, description="weight of the agreement with the classifier inside, below the labels; 0: off"
    )
    taught_kinds_scale: NonNegativeFloat = Field(
        4, description="weight of the agreement with a teacher, where there is one, about kinds"
    )
    taught_boxes_scale: NonNegativeFloat = Field(0.25, description="the same about boxes")
    class_only_candidates: NonNegativeInt = Field(
        0,
        description="the best box of a picture without boxes is sought among this many of highest objectness; 0: all",
    )


class RegionLossParts(NamedTuple):
    """The loss of a batch, each a scalar summed over its boxes and divided by its pictures."""

    coordinates: Tensor
    objectness: Tensor
    no_objectness: Tensor
    prior: Tensor
    classes: Tensor
    distillation: Tensor

    def total(self) -> Tensor:
        """Return what is minimised."""
        return torch.stack(self).sum()


class _Boxes(NamedTuple):
    """Of one grid: raw outputs [B, A, H, W, 5], their boxes [B, A, H, W, 4], and which are responsible for objects.

    sure: [B, A, H, W], how sure another detector is of each; 0 without one.
    """

    grid: Grid
    raw: Tensor
    decoded: Tensor
    responsible: Assignment
    sure: Tensor


class RegionLoss(nn.Module):
    """The loss of a batch of pictures, with boxes or with a class label alone."""

    def __init__(self, softmax: HierarchicalSoftmax, configuration: RegionLossConfiguration) -> None:
        super().__init__()
        self.softmax = softmax
        self.configuration = configuration

    def forward(
        self,
        detector: Detector,
        predictions: Sequence[Prediction],
        targets: Targets,
        seen: int,
        teacher: Tensor | None = None,
        sure: Sequence[Tensor] | None = None,
    ) -> RegionLossParts:
        """Compute the loss.

        Args:
            detector: gives the class logits of the boxes that need them, and the anchors.
            predictions: what it said of B pictures, on each of its grids.
            targets: what is true of them.
            seen: pictures trained on before this batch.
            teacher: logits [T + L, N] a teacher has for the T objects, then for the L pictures with a label alone.
            sure: of each grid [B, A, H, W], 0 to 1, how sure another detector is that each box is an object: what
                objectness learns where there is no truth, in the place of 0, and at a truth if it is more than that.
        """
        location = detector.location
        best = class_only_boxes(detector, predictions, targets, self.softmax, self.configuration.class_only_candidates)
        grids = self._assign(detector, predictions, targets, sure)
        # what each box answers for: the number of its object or, after those, of its picture's label
        answered = [
            torch.cat((boxes.responsible.truth, label.rows + len(targets.boxes)))
            for boxes, label in zip(grids, best, strict=True)
        ]
        places = [_join(boxes.responsible.boxes, label.boxes) for boxes, label in zip(grids, best, strict=True)]
        labels = [boxes.raw[tuple(label.boxes)][:, 4] for boxes, label in zip(grids, best, strict=True)]
        classes, distillation = self._classes(detector, predictions, targets, answered, places, teacher)
        parts = RegionLossParts(
            coordinates=_sum(self._coordinates(boxes, targets, location) for boxes in grids),
            objectness=_sum(self._objectness(boxes, targets) for boxes in grids)
            + self._class_only_objectness(torch.cat(labels)),
            no_objectness=_sum(self._no_objectness(boxes, targets) for boxes in grids),
            prior=_sum(self._prior(boxes, targets, location, seen) for boxes in grids),
            classes=classes,
            distillation=distillation,
        )
        return RegionLossParts(*(part / len(targets.negative_weight) for part in parts))

    def _assign(
        self,
        detector: Detector,
        predictions: Sequence[Prediction],
        targets: Targets,
        sure: Sequence[Tensor] | None,
    ) -> list[_Boxes]:
        """Decode the boxes of every grid, and say which are responsible for objects."""
        raw = [one.boxes for one in predictions]
        grids = [Grid(detector.anchors_of(number), *boxes.shape[2:4]) for number, boxes in enumerate(raw)]
        decoded = [
            decode_boxes(boxes.detach(), grid.anchors, detector.location)
            for boxes, grid in zip(raw, grids, strict=True)
        ]
        responsible = (
            assign_cells(targets, decoded, [boxes.detach()[..., 4] for boxes in raw], grids)
            if detector.location is Location.DISTANCES
            else assign_anchors(targets, grids, self.configuration.further_anchor_iou)
        )
        said = [boxes.new_zeros(boxes.shape[:-1]) for boxes in raw] if sure is None else sure
        return [_Boxes(*each) for each in zip(grids, raw, decoded, responsible, said, strict=True)]

    def _coordinates(self, boxes: _Boxes, targets: Targets, location: Location) -> Tensor:
        """Return how far the boxes responsible for objects are from them, summed."""
        settings = self.configuration
        grid, index = boxes.grid, boxes.responsible
        raw, wanted = boxes.raw[tuple(index.boxes)], targets.boxes[index.truth]
        confidence = targets.confidence[index.truth]
        if index.quality is None:
            errors = settings.coordinate_scale * _coordinate_errors(raw, wanted, index.boxes, grid)
        else:
            confidence = confidence * index.quality
            errors = raw.new_zeros(len(raw))
        if settings.iou_scale:
            reached = decode_chosen(raw, index.boxes, grid.anchors, (grid.height, grid.width), location)
            errors = errors + settings.iou_scale * (1 - generalised_iou_of_pairs(reached, wanted))
        return (confidence * errors).sum()

    def _objectness(self, boxes: _Boxes, targets: Targets) -> Tensor:
        """Return the objectness loss of the boxes responsible for objects, summed."""
        index = boxes.responsible
        place = tuple(index.boxes)
        if index.quality is not None:
            goal = index.quality
        elif self.configuration.rescore:
            goal = iou_of_pairs(boxes.decoded[place], targets.boxes[index.truth])
        else:
            goal = torch.ones_like(targets.confidence[index.truth])
        goal = torch.maximum(goal, boxes.sure[place].to(goal.dtype))
        errors = self._objectness_error(boxes.raw[place][:, 4], goal)
        return self.configuration.object_scale * (targets.confidence[index.truth] * errors).sum()

    def _no_objectness(self, boxes: _Boxes, targets: Targets) -> Tensor:
        """Return the objectness loss of the boxes that are responsible for nothing and overlap nothing, summed."""
        negative = best_iou(boxes.decoded, targets) <= self.configuration.ignore_iou
        negative[tuple(boxes.responsible.boxes)] = False
        weight = negative * targets.negative_weight[:, None, None, None]
        return (
            self.configuration.noobject_scale * (self._objectness_error(boxes.raw[..., 4], boxes.sure) * weight).sum()
        )

    def _prior(self, boxes: _Boxes, targets: Targets, location: Location, seen: int) -> Tensor:
        """Return what draws the other boxes to their anchors while a run is young, summed; distances have none."""
        raw = boxes.raw
        if seen >= self.configuration.prior_pictures or location is Location.DISTANCES:
            return raw.new_zeros(())
        free = torch.ones(raw.shape[:-1], dtype=torch.bool, device=raw.device)
        free[tuple(boxes.responsible.boxes)] = False
        free[targets.class_only_pictures] = False  # they teach their class alone
        pull = (raw[..., :2].sigmoid() - 0.5).square().sum(-1) + raw[..., 2:4].square().sum(-1)
        return 0.5 * self.configuration.prior_scale * (pull * free).sum()

    def _classes(
        self,
        detector: Detector,
        predictions: Sequence[Prediction],
        targets: Targets,
        answered: Sequence[Tensor],
        places: Sequence[BoxIndex],
        teacher: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the sums of the class loss and of the distillation.

        Args:
            detector, predictions, targets, teacher: as `forward` has them.
            answered: of each grid [K], what each box answers for: the number of its object, or then of its label.
            places: of each grid, those boxes.
        """
        settings = self.configuration
        nodes = torch.cat((targets.nodes, targets.class_only_nodes))
        known = [nodes[rows] != NO_NODE for rows in answered]
        answered = [rows[here] for rows, here in zip(answered, known, strict=True)]
        places = [BoxIndex(*(part[here] for part in boxes)) for boxes, here in zip(places, known, strict=True)]
        logits = detector.logits_of(predictions, places)
        rows, picture = torch.cat(list(answered)), torch.cat([boxes.picture for boxes in places])
        counts = torch.bincount(picture, minlength=len(targets.negative_weight)).to(logits.dtype)
        certain = torch.cat((targets.confidence, targets.confidence.new_ones(len(targets.class_only_nodes))))
        share = certain[rows] * counts[picture] ** -settings.crowd_power
        class_loss = settings.class_scale * (share * self.softmax.path_loss(logits, nodes[rows])).sum()
        distillation = logits.new_zeros(())
        if teacher is not None:
            apart = self.softmax.distillation_loss(logits, teacher[rows], nodes[rows])
            distillation = settings.distillation_scale * (share * apart).sum()
        return class_loss, distillation

    def _objectness_error(self, logit: Tensor, target: Tensor | float) -> Tensor:
        """Return the error of each objectness; darknet's gradient is that of half the squared error."""
        goal = torch.as_tensor(target, dtype=logit.dtype, device=logit.device).expand_as(logit)
        if self.configuration.objectness is ObjectnessLoss.SQUARED:
            return 0.5 * (logit.sigmoid() - goal).square()
        error = F.binary_cross_entropy_with_logits(logit, goal, reduction="none")
        if self.configuration.objectness is ObjectnessLoss.FOCAL:
            return error * (logit.sigmoid() - goal).square()
        return error

    def _class_only_objectness(self, logit: Tensor) -> Tensor:
        """Return the objectness loss of the best boxes of pictures that have a label but no boxes.

        It is trained as if the box overlapped the object by at least `class_only_iou`: drawn up to that, never down.
        """
        least = self.configuration.class_only_iou
        lacking = (logit.detach().sigmoid() < least).to(logit.dtype)
        return self.configuration.object_scale * (self._objectness_error(logit, least) * lacking).sum()


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum()


def _join(first: BoxIndex, second: BoxIndex) -> BoxIndex:
    return BoxIndex(*(torch.cat(pair) for pair in zip(first, second, strict=True)))


def _coordinate_errors(raw: Tensor, boxes: Tensor, index: BoxIndex, grid: Grid) -> Tensor:
    """Return half the squared error [K] of the boxes responsible for objects.

    It is taken on sigmoid(tx), sigmoid(ty), tw and th, and weighted by 2 - width * height: small boxes count more.

    Args:
        raw: [K, 5], the raw outputs of those boxes.
        boxes: [K, 4], their objects as fractions of the picture.
        index: which boxes they are.
        grid: they are on.
    """
    cells = boxes.new_tensor([grid.width, grid.height])
    corner = torch.stack((index.column, index.row), dim=1)
    centre = (boxes[:, :2] * cells - corner).clamp(0, 1)
    anchors = grid.anchors[index.anchor].to(boxes.dtype)
    size = (boxes[:, 2:] * cells / anchors).log()
    error = (raw[:, :2].sigmoid() - centre).square().sum(1) + (raw[:, 2:4] - size).square().sum(1)
    return 0.5 * (2 - boxes[:, 2:].prod(1)) * error

"""The region loss: what YOLOv2 and YOLO9000 are trained with.

Sources: paper sections 2 and 4; darknet's `forward_region_layer` for what the paper leaves out (the scales, the
anchor prior of the first pictures, the ignore threshold, rescore). Two places differ, each an option of the
configuration: objectness may be learned by cross-entropy instead of a squared error, and pictures whose boxes are not
exhaustive (only some objects are labelled) need give no negatives.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn
from torch.nn import functional as F

from training.losses.hierarchical import NO_NODE, HierarchicalSoftmax
from training.losses.targets import (
    Assignment,
    Grid,
    Truths,
    assign_anchors,
    assign_cells,
    best_iou,
    class_only_boxes,
    generalised_iou_of_pairs,
    iou_of_pairs,
)
from training.networks.parts.detector import (
    BoxIndex,
    Detector,
    Location,
    Prediction,
    decode_boxes,
    decode_chosen,
    shift_error,
)


class ObjectnessLoss(StrEnum):
    """How objectness is learned."""

    SQUARED = "squared"
    CROSS_ENTROPY = "cross-entropy"
    FOCAL = "focal"


class RegionLossConfiguration(BaseModel):
    """The constants of the loss; the defaults are those of yolo9000.cfg and yolov2-voc.cfg."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    object_scale: NonNegativeFloat = Field(5, description="weight of objectness where there is an object")
    noobject_scale: NonNegativeFloat = Field(1, description="weight of objectness where there is none")
    class_scale: NonNegativeFloat = Field(1, description="weight of the class loss")
    coordinate_scale: NonNegativeFloat = Field(1, description="weight of the box loss")
    iou_scale: NonNegativeFloat = Field(
        0, description="weight of 1 - generalised IOU of a box with its truth, beside the box loss"
    )
    further_anchor_iou: float | None = Field(
        None,
        ge=0,
        le=1,
        description="anchors of a truth's cell that overlap its shape by at least this learn it too; by default the "
        "best one alone does",
    )
    ignore_iou: float = Field(0.6, ge=0, le=1, description="boxes that overlap a truth by more are no negatives")
    rescore: bool = Field(True, description="objectness learns the box's overlap with its truth instead of 1")
    prior_pictures: NonNegativeInt = Field(
        12_800, description="while fewer pictures were seen, all boxes are drawn to their anchor"
    )
    prior_scale: NonNegativeFloat = Field(0.01, description="weight of that pull")
    objectness: ObjectnessLoss = Field(
        ObjectnessLoss.SQUARED,
        description="squared error, cross-entropy, or cross-entropy times the squared "
        "difference, which forgets the thousands of cells that are right (quality focal loss)",
    )
    class_only_iou: float = Field(
        0.3,
        ge=0,
        le=1,
        description="overlap assumed of the best box of a picture without boxes (paper section 4)",
    )
    crowd_power: float = Field(
        0,
        ge=0,
        le=1,
        description="the class loss of a picture's boxes is divided by their number to this power: 0 counts every box "
        "the same, 1 every picture; in between, a crowd teaches more than one object but not as much as so many",
    )
    distillation_scale: NonNegativeFloat = Field(
        0, description="weight of the agreement with a teacher beneath the labels; 0: no teacher"
    )
    class_only_candidates: NonNegativeInt = Field(
        0, description="boxes of highest objectness among which that best box is sought; 0: all"
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
        truths: Truths,
        seen: int,
        teacher: Tensor | None = None,
    ) -> RegionLossParts:
        """Compute the loss.

        Args:
            detector: gives the class logits of the boxes that need them, and the anchors.
            predictions: what it said of B pictures, on each of its grids.
            truths: what is true of them.
            seen: pictures trained on before this batch.
            teacher: logits [T + L, N] a teacher has for the T boxes, then for the L pictures with a label alone.
        """
        settings = self.configuration
        grids = [
            Grid(detector.anchors_of(number), one.boxes.shape[2], one.boxes.shape[3])
            for number, one in enumerate(predictions)
        ]
        decoded = [
            decode_boxes(one.boxes.detach(), grid.anchors, detector.location)
            for grid, one in zip(grids, predictions, strict=True)
        ]
        assigned = (
            assign_cells(truths, decoded, [one.boxes.detach()[..., 4] for one in predictions], grids)
            if detector.location is Location.DISTANCES
            else assign_anchors(truths, grids, settings.further_anchor_iou)
        )
        boxes = [
            self._box_losses(detector.location, grid, one.boxes, found, index, truths, seen)
            for grid, one, found, index in zip(grids, predictions, decoded, assigned, strict=True)
        ]
        coordinates, objectness, no_objectness, prior = (torch.stack(part).sum() for part in zip(*boxes, strict=True))

        asked = [index.truth for index in assigned]  # of each class row its number among the truths, then the labels
        places = [index.boxes for index in assigned]
        if len(truths.class_only_pictures):
            best = class_only_boxes(detector, predictions, truths, self.softmax, settings.class_only_candidates)
            logits = torch.cat(
                [one.boxes[tuple(each.boxes)][:, 4] for one, each in zip(predictions, best, strict=True)]
            )
            objectness = objectness + self._class_only_objectness(logits)
            asked = [torch.cat((a, each.rows + len(truths.boxes))) for a, each in zip(asked, best, strict=True)]
            places = [_join(place, each.boxes) for place, each in zip(places, best, strict=True)]
        classes, distillation = self._class_losses(detector, predictions, truths, asked, places, teacher)
        batch = len(truths.negative_weight)
        parts = (coordinates, objectness, no_objectness, prior, classes, distillation)
        return RegionLossParts(*(part / batch for part in parts))

    def _box_losses(
        self, location: Location, grid: Grid, raw: Tensor, decoded: Tensor, index: Assignment, truths: Truths, seen: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the sums over one grid's raw outputs [B, A, H, W, 5]: of all parts but those of classes."""
        settings = self.configuration
        place = tuple(index.boxes)
        chosen, wanted = raw[place], truths.boxes[index.truth]
        confidence = truths.confidence[index.truth]
        if index.quality is None:
            overlap = iou_of_pairs(decoded[place], wanted)
            target = overlap if settings.rescore else torch.ones_like(overlap)
            taught = confidence
            errors = settings.coordinate_scale * _coordinate_errors(chosen, wanted, index.boxes, grid, location)
        else:
            target, taught, errors = index.quality, confidence * index.quality, chosen.new_zeros(len(chosen))
        objectness = settings.object_scale * (confidence * self._objectness_error(chosen[:, 4], target)).sum()
        if settings.iou_scale:
            reached = decode_chosen(chosen, index.boxes, grid.anchors, (grid.height, grid.width), location)
            errors = errors + settings.iou_scale * (1 - generalised_iou_of_pairs(reached, wanted))
        coordinates = (taught * errors).sum()

        negative = best_iou(decoded, truths) <= settings.ignore_iou
        negative[place] = False
        weight = negative * truths.negative_weight[:, None, None, None]
        no_objectness = settings.noobject_scale * (self._objectness_error(raw[..., 4], 0.0) * weight).sum()

        prior = raw.new_zeros(())
        if seen < settings.prior_pictures and location is not Location.DISTANCES:  # anchors say nothing there
            free = torch.ones_like(negative)
            free[place] = False
            free[truths.class_only_pictures] = False  # they teach their class alone
            shift = shift_error(raw[..., :2], 0.5, grid.anchors.to(raw.dtype)[:, None, None], location)
            pull = shift.square().sum(-1) + raw[..., 2:4].square().sum(-1)
            prior = 0.5 * settings.prior_scale * (pull * free).sum()
        return coordinates, objectness, no_objectness, prior

    def _class_losses(
        self,
        detector: Detector,
        predictions: Sequence[Prediction],
        truths: Truths,
        asked: Sequence[Tensor],
        places: Sequence[BoxIndex],
        teacher: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the sums of the class loss and of the distillation.

        Args:
            detector, predictions, truths, teacher: as `forward` has them.
            asked: of each grid [K], what each box answers for: its number among the truths and then the labels.
            places: of each grid, those boxes.
        """
        settings = self.configuration
        nodes = torch.cat((truths.nodes, truths.class_only_nodes))
        known = [nodes[rows] != NO_NODE for rows in asked]
        asked = [rows[here] for rows, here in zip(asked, known, strict=True)]
        places = [BoxIndex(*(part[here] for part in boxes)) for boxes, here in zip(places, known, strict=True)]
        logits = detector.logits_of(predictions, places)
        rows, picture = torch.cat(list(asked)), torch.cat([boxes.picture for boxes in places])
        counts = torch.bincount(picture, minlength=len(truths.negative_weight)).to(logits.dtype)
        certain = torch.cat((truths.confidence, truths.confidence.new_ones(len(truths.class_only_nodes))))
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


def _join(first: BoxIndex, second: BoxIndex) -> BoxIndex:
    return BoxIndex(*(torch.cat(pair) for pair in zip(first, second, strict=True)))


def _coordinate_errors(raw: Tensor, boxes: Tensor, index: BoxIndex, grid: Grid, location: Location) -> Tensor:
    """Return half the squared error [K] of the boxes responsible for truths.

    It is taken on sigmoid(tx), sigmoid(ty), tw and th, and weighted by 2 - width * height: small boxes count more.

    Args:
        raw: [K, 5], the raw outputs of those boxes.
        boxes: [K, 4], their truths as fractions of the picture.
        index: which boxes they are.
        grid: they are on.
        location: what tx and ty say.
    """
    cells = boxes.new_tensor([grid.width, grid.height])
    corner = torch.stack((index.column, index.row), dim=1)
    centre = (boxes[:, :2] * cells - corner).clamp(0, 1)
    anchors = grid.anchors[index.anchor].to(boxes.dtype)
    size = (boxes[:, 2:] * cells / anchors).log()
    shift = shift_error(raw[:, :2], centre, anchors, location)
    error = shift.square().sum(1) + (raw[:, 2:4] - size).square().sum(1)
    return 0.5 * (2 - boxes[:, 2:].prod(1)) * error

"""The region loss: what YOLOv2 and YOLO9000 are trained with.

Sources: paper sections 2 and 4; darknet's `forward_region_layer` for what the paper leaves out (the scales, the
anchor prior of the first pictures, the ignore threshold, rescore). Two places differ, each an option of the
configuration: objectness may be learned by cross-entropy instead of a squared error, and pictures whose boxes are not
exhaustive (only some objects are labelled) need give no negatives.
"""

from enum import StrEnum
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn
from torch.nn import functional as F

from training.losses.hierarchical import HierarchicalSoftmax
from training.losses.targets import (
    Assignment,
    Truths,
    assign_anchors,
    best_iou,
    class_only_boxes,
    generalised_iou_of_pairs,
    iou_of_pairs,
)
from training.networks.parts.detector import BoxIndex, Detector, Prediction, decode_boxes, decode_chosen, shift_error


class ObjectnessLoss(StrEnum):
    """How objectness is learned."""

    SQUARED = "squared"
    CROSS_ENTROPY = "cross-entropy"


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
    objectness: ObjectnessLoss = Field(ObjectnessLoss.SQUARED, description="squared error or cross-entropy")
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
        prediction: Prediction,
        truths: Truths,
        seen: int,
        teacher: Tensor | None = None,
    ) -> RegionLossParts:
        """Compute the loss.

        Args:
            detector: gives the class logits of the boxes that need them, and the anchors.
            prediction: what it said of B pictures.
            truths: what is true of them.
            seen: pictures trained on before this batch.
            teacher: logits [T + L, N] a teacher has for the T boxes, then for the L pictures with a label alone.
        """
        settings = self.configuration
        raw = prediction.boxes
        batch = len(raw)
        decoded = decode_boxes(raw.detach(), detector.anchors, detector.location)
        index = assign_anchors(truths, detector.anchors, raw.shape[2], raw.shape[3], settings.further_anchor_iou)
        place = tuple(index.boxes)
        chosen = raw[place]
        overlap = iou_of_pairs(decoded[place], truths.boxes[index.truth])
        target = overlap if settings.rescore else torch.ones_like(overlap)
        objectness = settings.object_scale * self._objectness_error(chosen[:, 4], target).sum()
        grid = raw.new_tensor([raw.shape[3], raw.shape[2]])
        coordinates = settings.coordinate_scale * _coordinate_error(
            chosen, truths.boxes[index.truth], index, detector, grid
        )

        if settings.iou_scale:
            sides = (raw.shape[2], raw.shape[3])
            reached = decode_chosen(chosen, index.boxes, detector.anchors, sides, detector.location)
            lacking = 1 - generalised_iou_of_pairs(reached, truths.boxes[index.truth])
            coordinates = coordinates + settings.iou_scale * lacking.sum()

        negative = best_iou(decoded, truths) <= settings.ignore_iou
        negative[place] = False
        weight = negative * truths.negative_weight[:, None, None, None]
        no_objectness = settings.noobject_scale * (self._objectness_error(raw[..., 4], 0.0) * weight).sum()

        prior = raw.new_zeros(())
        if seen < settings.prior_pictures:
            free = torch.ones_like(negative)
            free[place] = False
            free[truths.class_only_pictures] = False  # they teach their class alone
            shift = shift_error(raw[..., :2], 0.5, detector.anchors.to(raw.dtype)[:, None, None], detector.location)
            pull = shift.square().sum(-1) + raw[..., 2:4].square().sum(-1)
            prior = 0.5 * settings.prior_scale * (pull * free).sum()

        classes, nodes = index.boxes, truths.nodes[index.truth]
        if len(truths.class_only_pictures):
            best = class_only_boxes(detector, prediction, truths, self.softmax, settings.class_only_candidates)
            objectness = objectness + self._class_only_objectness(raw[tuple(best)][:, 4])
            classes = BoxIndex(*(torch.cat(pair) for pair in zip(classes, best, strict=True)))
            nodes = torch.cat((nodes, truths.class_only_nodes))
        logits = detector.class_logits(prediction.features, classes)
        counts = torch.bincount(classes.picture, minlength=batch).to(logits.dtype)
        share = counts[classes.picture] ** -settings.crowd_power
        class_loss = settings.class_scale * (share * self.softmax.path_loss(logits, nodes)).sum()
        distillation = raw.new_zeros(())
        if teacher is not None:
            labelled = torch.arange(len(truths.boxes), len(teacher), device=teacher.device)
            asked = teacher[torch.cat((index.truth, labelled))]
            distillation = (
                settings.distillation_scale * (share * self.softmax.distillation_loss(logits, asked, nodes)).sum()
            )
        parts = (coordinates, objectness, no_objectness, prior, class_loss, distillation)
        return RegionLossParts(*(part / batch for part in parts))

    def _objectness_error(self, logit: Tensor, target: Tensor | float) -> Tensor:
        """Return the error of each objectness; darknet's gradient is that of half the squared error."""
        goal = torch.as_tensor(target, dtype=logit.dtype, device=logit.device).expand_as(logit)
        if self.configuration.objectness is ObjectnessLoss.SQUARED:
            return 0.5 * (logit.sigmoid() - goal).square()
        return F.binary_cross_entropy_with_logits(logit, goal, reduction="none")

    def _class_only_objectness(self, logit: Tensor) -> Tensor:
        """Return the objectness loss of the best boxes of pictures that have a label but no boxes.

        It is trained as if the box overlapped the object by at least `class_only_iou`: drawn up to that, never down.
        """
        least = self.configuration.class_only_iou
        lacking = (logit.detach().sigmoid() < least).to(logit.dtype)
        return self.configuration.object_scale * (self._objectness_error(logit, least) * lacking).sum()


def _coordinate_error(raw: Tensor, boxes: Tensor, index: Assignment, detector: Detector, grid: Tensor) -> Tensor:
    """Return half the squared error of the boxes responsible for truths, summed.

    It is taken on sigmoid(tx), sigmoid(ty), tw and th, and weighted by 2 - width * height: small boxes count more.

    Args:
        raw: [K, 5], the raw outputs of those boxes.
        boxes: [K, 4], their truths as fractions of the picture.
        index: which boxes they are.
        detector: has the anchors, in cells.
        grid: [2], cells across and down.
    """
    corner = torch.stack((index.boxes.column, index.boxes.row), dim=1)
    centre = (boxes[:, :2] * grid - corner).clamp(0, 1)
    anchors = detector.anchors[index.boxes.anchor].to(boxes.dtype)
    size = (boxes[:, 2:] * grid / anchors).log()
    shift = shift_error(raw[:, :2], centre, anchors, detector.location)
    error = shift.square().sum(1) + (raw[:, 2:4] - size).square().sum(1)
    return (0.5 * (2 - boxes[:, 2:].prod(1)) * error).sum()

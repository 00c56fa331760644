"""yolov2-lite: boxes from a network that knows COCO, names from one that knows ImageNet, small enough to ship.

What is YOLOv2's: objectness, one class answer a box and not one a class (paper section 2), and a WordTree class layer
(section 4). What is not: there are three grids, of strides 8, 16 and 32, and a cell says the distances of a box's sides
from its middle (`Location.DISTANCES`), because trunk, neck and outputs are NanoDet-g's
(`training.networks.backbones.nanodet`), which learned both on forty times as many pictures as are at hand here.
Measured on coco_val at 416 px, AP50: its own outputs with an objectness fitted to its largest class score .324; fresh
outputs with anchors and direct location on the same features .146.

What a box is called comes from the classifier inside (`training.networks.parts.classifier_inside`), which sees the
picture reduced to five eighths: it learned on objects 150 to 220 px large. What the trunk says of COCO's 80 kinds, the
cell's own features, and the trunk's features at stride 32, averaged over the inner part of the box, say how far to
believe it. The same says how well a box fits (`training.networks.parts.box_quality`).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.backbones.efficientnet_lite import HEAD_CHANNELS, IMAGENET_CLASSES, EfficientNetLite
from training.networks.backbones.nanodet import (
    CHANNELS,
    CLASSES,
    DEEP_CHANNELS,
    STRIDES,
    GridAnswers,
    Head,
    Neck,
    Trunk,
    expected_distances,
    shares,
    sharpness,
)
from training.networks.parts.box_quality import BoxQuality, seen_of_boxes
from training.networks.parts.class_layer import TreeClassLayer
from training.networks.parts.classifier_inside import ClassifierInside, inner_part, reduced_side
from training.networks.parts.detector import BoxIndex, Judgement, Location, Prediction, decode_boxes
from training.networks.parts.regions import integral_image, pool_regions


class YOLOv2Lite(ClassifierInside):
    """The detector of the embedded default.

    Args:
        anchors: [3, 2], the cell of each grid in cells of 8 px: the unit of the distances.
        classes: nodes of the trained WordTree.
        backbone: with a classifier's weights; it is not trained any more.
        flat_classes: of that classifier.

    Raises:
        ValueError: there are not three anchors.
    """

    location = Location.DISTANCES

    def __init__(
        self, anchors: Tensor, classes: int, backbone: EfficientNetLite, *, flat_classes: int = IMAGENET_CLASSES
    ) -> None:
        super().__init__(anchors, classes, STRIDES[0], multiple=STRIDES[-1])
        if len(anchors) != len(STRIDES):
            raise ValueError(f"three grids need three anchors, not {len(anchors)}")
        self.backbone = backbone.requires_grad_(False)
        self.trunk = Trunk()
        self.neck = Neck()
        self.heads = nn.ModuleList(Head() for _ in STRIDES)
        evidence = CHANNELS + DEEP_CHANNELS + CLASSES
        self.class_layer = TreeClassLayer(HEAD_CHANNELS, flat_classes, classes, evidence=evidence, kinds=CLASSES)
        self.quality = BoxQuality(HEAD_CHANNELS + evidence).requires_grad_(False)  # learned by `refit` alone

    def anchors_of(self, grid: int) -> Tensor:
        """Return the anchor [1, 2] of a grid, in its cells."""
        return self.anchors[grid : grid + 1] * (STRIDES[0] / STRIDES[grid])

    def grids(self, pictures: Tensor) -> tuple[Prediction, ...]:
        """Predict from RGB pictures [B, 3, S, S], 0 to 255, S a multiple of 32, on the grids of strides 8, 16 and 32.

        The features of each are: the integral image of the classifier's features of the reduced picture, that of the
        trunk's at stride 32 [B, S/32 + 1, S/32 + 1, 512], the neck's map of this grid [B, 128, H, W], the logits of its
        cells' kinds [B, H, W, 80] and of their sides' distances [B, H, W, 44], and its boxes [B, 1, H, W, 4] as
        fractions, cut off from the gradient.
        """
        maps = self._maps(pictures)
        found = []
        for grid, (head, own) in enumerate(zip(self.heads, maps.neck, strict=True)):
            answers: GridAnswers = head(own)
            raw = torch.cat((expected_distances(answers.sides), answers.objectness), dim=-1)[:, None]
            boxes = raw.to(maps.classifier.dtype)
            decoded = decode_boxes(boxes.detach(), self.anchors_of(grid), self.location)
            features = (maps.classifier, maps.deep, own, answers.kinds, answers.sides, decoded)
            found.append(Prediction(boxes, features))
        return tuple(found)

    def look(self, pictures: Tensor) -> tuple[Prediction, ...]:
        """Predict on the same grids as far as the gate needs it: of 5,376 cells at 512 px it passes some hundred.

        In the place of four distances a box has the 44 logits they are the expectations of; the features are those of
        `grids` but the last two.
        """
        maps = self._maps(pictures)
        every: list[GridAnswers] = [head(own) for head, own in zip(self.heads, maps.neck, strict=True)]
        return tuple(
            Prediction(
                torch.cat((answers.sides, answers.objectness), dim=-1)[:, None],
                (maps.classifier, maps.deep, own, answers.kinds),
            )
            for answers, own in zip(every, maps.neck, strict=True)
        )

    def _maps(self, pictures: Tensor) -> "_Maps":
        height, width = pictures.shape[2:]
        reduced = F.interpolate(
            pictures, size=(reduced_side(height), reduced_side(width)), mode="bilinear", antialias=True
        )
        classifier = integral_image(self.backbone.head(self.backbone(reduced)[2]))
        trunk = self.trunk(pictures)
        return _Maps(classifier, integral_image(trunk[-1]), self.neck(*trunk))

    def class_inputs(self, features: tuple[Tensor, ...], index: BoxIndex) -> tuple[Tensor, Tensor]:
        """Return what the class layer sees of the K boxes of `index` of one grid."""
        return _class_inputs(features[:2], _own(features, index), index.picture)

    def logits_of(self, predictions: Sequence[Prediction], indexes: Sequence[BoxIndex]) -> Tensor:
        """Return the class logits [K, classes] of the boxes of all grids: what all of them share is pooled once."""
        logits: Tensor = self.class_layer(*self.seen_of(predictions, indexes)[:2])
        return logits

    def judge(self, predictions: Sequence[Prediction], indexes: Sequence[BoxIndex]) -> Judgement:
        """Return of boxes of all grids where they are, how sure, by objectness and quality, and their class logits."""
        raw = [one.boxes[tuple(index)] for one, index in zip(predictions, indexes, strict=True)]
        own = _joined(
            self._chosen(grid, prediction, index, here)
            for grid, (prediction, index, here) in enumerate(zip(predictions, indexes, raw, strict=True))
        )
        objectness = torch.cat(raw)[:, -1]
        features, evidence = _class_inputs(predictions[0].features[:2], own, _pictures(indexes))
        quality = self.quality(seen_of_boxes(features, evidence, own.boxes, objectness, sharpness(own.sides)))
        answer = self.quality.answer(objectness, quality)
        return Judgement(own.boxes, answer, self.class_layer(features, evidence))

    def _chosen(self, grid: int, prediction: Prediction, index: BoxIndex, raw: Tensor) -> "_Own":
        """Return what is seen of boxes of one grid of `look`, whose raw outputs are [K, 45]."""
        own, kinds = prediction.features[2:]
        sides = raw[:, :-1]
        boxes = self.boxes_of(grid, prediction, index, expected_distances(sides))
        return _Own(_cells(own, index), shares(kinds[index.picture, index.row, index.column]), sides, boxes)

    def least_objectness(self, threshold: Tensor) -> Tensor:
        """Return the objectness of a box, 0 to 1, without which `judge` cannot answer a threshold."""
        return self.quality.least_objectness(threshold)

    def seen_of(
        self, predictions: Sequence[Prediction], indexes: Sequence[BoxIndex]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return what is seen of the K boxes of all grids, one grid after the other.

        Args:
            predictions: what `grids` gave.
            indexes: which boxes of each.

        Returns:
            The two that `class_inputs` gives; the boxes [K, 4], centre x, centre y, width, height as fractions; the
            logits of their objectness [K]; how sharp their sides are [K, SHARPNESS].
        """
        own = _joined(_own(one.features, index) for one, index in zip(predictions, indexes, strict=True))
        raw = torch.cat([one.boxes[tuple(index)] for one, index in zip(predictions, indexes, strict=True)])
        inputs = _class_inputs(predictions[0].features[:2], own, _pictures(indexes))
        return *inputs, own.boxes, raw[:, 4], sharpness(own.sides)


class _Maps(NamedTuple):
    """Integral images of the classifier's and of the trunk's deepest features, and the neck's map of each grid."""

    classifier: Tensor
    deep: Tensor
    neck: tuple[Tensor, ...]


class _Own(NamedTuple):
    """What is seen of K boxes on their grid.

    cells: [K, 128], features. kinds: [K, 80], P(kind). sides: [K, 44], logits of their distances. boxes: [K, 4].
    """

    cells: Tensor
    kinds: Tensor
    sides: Tensor
    boxes: Tensor


def _joined(parts: Iterable[_Own]) -> _Own:
    return _Own(*(torch.cat(each) for each in zip(*parts, strict=True)))


def _pictures(indexes: Sequence[BoxIndex]) -> Tensor:
    return torch.cat([index.picture for index in indexes])


def _class_inputs(shared: tuple[Tensor, ...], own: _Own, picture: Tensor) -> tuple[Tensor, Tensor]:
    classifier, deep = shared
    regions = inner_part(own.boxes)
    pooled = pool_regions(deep, regions, picture)
    evidence = torch.cat((own.cells.to(classifier.dtype), pooled, own.kinds.to(classifier.dtype)), dim=1)
    return pool_regions(classifier, regions, picture), evidence


def _own(features: tuple[Tensor, ...], index: BoxIndex) -> _Own:
    own, kinds, sides, boxes = features[2:]
    place = (index.picture, index.row, index.column)
    return _Own(_cells(own, index), shares(kinds[place]), sides[place], boxes[tuple(index)])


def _cells(own: Tensor, index: BoxIndex) -> Tensor:
    """Return the features [K, 128] of boxes' cells on the neck's map [B, 128, H, W]."""
    # channels last, as the convolutions have them: in another order the gradient would have to be rearranged
    return own.permute(0, 2, 3, 1)[index.picture, index.row, index.column]

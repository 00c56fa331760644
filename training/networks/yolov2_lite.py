"""yolov2-lite: the YOLOv2 detector on EfficientNet-Lite0, small enough to ship inside the repository.

What is YOLOv2's: one grid of stride 32, anchors from dimension clusters, direct location prediction, objectness, the
passthrough from stride 16 (paper section 2) and a WordTree class layer (section 4). What is not: the backbone, and
where class logits come from. Few boxes of few categories would wash 1,000 classes out of the features they train, so
the ImageNet classifier stays whole and fixed: a box's class features are its last features averaged over the inner
part of the box, as the classifier averages them over a picture. Boxes and objectness come from a copy of its last five
blocks, trained, beside them. An anchor's own trained features enter the class layer through `anchor_to_class`, which
starts at zero, as does what the class layer adds to the classifier (`training.networks.class_layer`).

Measured on ilsvrc_val's boxes before any training, averages over the cells in the inner 70 % of a box name 66 % of them
rightly at 320 px and 65 % at 416; over the whole box 66 % and 66 %, with less confidence (probability of the truth at
least .5 for 62 % and 56 % against 58 % and 48 %); the one cell at the centre 61 % and 56 %.
"""

import copy
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.class_layer import TreeClassLayer
from training.networks.detector import BoxIndex, Detector, Prediction, decode_boxes
from training.networks.efficientnet_lite import (
    HEAD_CHANNELS,
    IMAGENET_CLASSES,
    STRIDE16_BLOCK,
    STRIDE16_CHANNELS,
    STRIDE32_CHANNELS,
    EfficientNetLite0,
)
from training.networks.regions import integral_image, pool_regions

PASSTHROUGH_CHANNELS: Final = 64  # yolov2-voc.cfg squeezes to 64 channels before its passthrough
STRIDE16_INNER: Final = 128
NECK_CHANNELS: Final = 256
ANCHOR_CHANNELS: Final = 64
BOX_CHANNELS: Final = 5
INITIAL_OBJECTNESS: Final = 0.01  # a cell is rarely an object: start there, or the first steps only unlearn .5
INNER_PART: Final = 0.7  # of a box's width and height, over which class features are averaged


class NormalisedConvolution(nn.Sequential):
    """Convolution, batch norm and ReLU6."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU6(inplace=True),
        )


class SeparableBlock(nn.Module):
    """A depthwise 5x5 and a pointwise convolution with a shortcut around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = NormalisedConvolution(channels, channels, 5, groups=channels)
        self.pointwise = NormalisedConvolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        y: Tensor = x + self.pointwise(self.depthwise(x))
        return y


class YOLOv2Lite(Detector):
    """The detector of the embedded default.

    Args:
        anchors: [A, 2], cells.
        classes: nodes of the trained WordTree.
        backbone: EfficientNet-Lite0 with its ImageNet weights; it is not trained any more.
    """

    def __init__(self, anchors: Tensor, classes: int, backbone: EfficientNetLite0) -> None:
        super().__init__(anchors, classes)
        count = len(anchors)
        self.tail = nn.Sequential(*copy.deepcopy(backbone.blocks[STRIDE16_BLOCK + 1 :]))
        self.backbone = backbone.requires_grad_(False)
        self.passthrough = nn.Sequential(
            NormalisedConvolution(STRIDE16_CHANNELS, STRIDE16_INNER),
            SeparableBlock(STRIDE16_INNER),
            NormalisedConvolution(STRIDE16_INNER, PASSTHROUGH_CHANNELS),
        )
        self.neck = nn.Sequential(
            NormalisedConvolution(STRIDE32_CHANNELS + 4 * PASSTHROUGH_CHANNELS, NECK_CHANNELS),
            SeparableBlock(NECK_CHANNELS),
            SeparableBlock(NECK_CHANNELS),
        )
        self.per_anchor = NormalisedConvolution(NECK_CHANNELS, count * ANCHOR_CHANNELS)
        self.box = nn.Conv2d(count * ANCHOR_CHANNELS, count * BOX_CHANNELS, 1, groups=count)
        self.anchor_to_class = nn.Linear(ANCHOR_CHANNELS, HEAD_CHANNELS, bias=False)
        self.class_layer = TreeClassLayer(HEAD_CHANNELS, IMAGENET_CLASSES, classes)
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.zeros_(self.anchor_to_class.weight)
        with torch.no_grad():
            assert self.box.bias is not None
            self.box.bias.zero_()
            self.box.bias.view(count, BOX_CHANNELS)[:, 4] = torch.logit(torch.tensor(INITIAL_OBJECTNESS))

    def forward(self, pictures: Tensor) -> Prediction:
        """Predict from RGB pictures [B, 3, S, S], 0 to 255, S a multiple of 32.

        The features are: the integral image of the classifier's features [B, H + 1, W + 1, 1280], the anchors' own
        features [B, A * 64, H, W], and the boxes [B, A, H, W, 4] as fractions, cut off from the gradient.
        """
        stride16, stride32 = self.backbone(pictures)
        integral = integral_image(self.backbone.head(stride32))
        stacked = torch.cat((self.tail(stride16), F.pixel_unshuffle(self.passthrough(stride16), 2)), dim=1)
        vectors = self.per_anchor(self.neck(stacked))
        raw = self.box(vectors)
        batch, _, height, width = raw.shape
        boxes = raw.view(batch, len(self.anchors), BOX_CHANNELS, height, width).permute(0, 1, 3, 4, 2)
        boxes = boxes.to(integral.dtype)
        return Prediction(boxes, (integral, vectors, decode_boxes(boxes.detach(), self.anchors)))

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        """Return the class logits [K, classes] of the K boxes of `index`."""
        integral, vectors, boxes = features
        batch, _, height, width = vectors.shape
        box = boxes[index.picture, index.anchor, index.row, index.column]
        pooled = pool_regions(integral, inner_part(box), index.picture)
        per_anchor = vectors.view(batch, len(self.anchors), ANCHOR_CHANNELS, height, width).permute(0, 1, 3, 4, 2)
        own = per_anchor[index.picture, index.anchor, index.row, index.column]
        logits: Tensor = self.class_layer(pooled + self.anchor_to_class(own.to(pooled.dtype)))
        return logits


def inner_part(boxes: Tensor) -> Tensor:
    """Shrink boxes [K, 4] (centre x, centre y, width, height) to the part class features are averaged over."""
    return torch.cat((boxes[:, :2], boxes[:, 2:] * INNER_PART), dim=1)

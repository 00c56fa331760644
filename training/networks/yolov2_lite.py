"""yolov2-lite: the YOLOv2 detector on EfficientNet-Lite0, small enough to ship inside the repository.

What is YOLOv2's: one grid of stride 32, anchors from dimension clusters, direct location prediction, objectness, the
passthrough from stride 16 (paper section 2) and a WordTree class layer (section 4). What is not: the backbone, and a
class layer shared by the anchors. It starts as the ImageNet classifier's own last layers (`backbone.head` and one row
of 1280 weights a node), so that a cell names 1,000 kinds of things before the first box is seen; an anchor's own
64 features enter through `anchor_to_class`, which starts at zero.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.detector import BoxIndex, Detector, Prediction
from training.networks.efficientnet_lite import (
    HEAD_CHANNELS,
    STRIDE16_CHANNELS,
    STRIDE32_CHANNELS,
    EfficientNetLite0,
)

PASSTHROUGH_CHANNELS: Final = 64  # yolov2-voc.cfg squeezes to 64 channels before its passthrough
NECK_CHANNELS: Final = 256
ANCHOR_CHANNELS: Final = 64
BOX_CHANNELS: Final = 5
INITIAL_OBJECTNESS: Final = 0.01  # a cell is rarely an object: start there, or the first steps only unlearn .5


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
        backbone: EfficientNet-Lite0, with or without its ImageNet weights.
    """

    def __init__(self, anchors: Tensor, classes: int, backbone: EfficientNetLite0) -> None:
        super().__init__(anchors, classes)
        count = len(anchors)
        self.backbone = backbone
        self.passthrough = NormalisedConvolution(STRIDE16_CHANNELS, PASSTHROUGH_CHANNELS)
        self.neck = nn.Sequential(
            NormalisedConvolution(STRIDE32_CHANNELS + 4 * PASSTHROUGH_CHANNELS, NECK_CHANNELS),
            SeparableBlock(NECK_CHANNELS),
            SeparableBlock(NECK_CHANNELS),
        )
        self.per_anchor = NormalisedConvolution(NECK_CHANNELS, count * ANCHOR_CHANNELS)
        self.box = nn.Conv2d(count * ANCHOR_CHANNELS, count * BOX_CHANNELS, 1, groups=count)
        self.anchor_to_class = nn.Linear(ANCHOR_CHANNELS, HEAD_CHANNELS, bias=False)
        self.rows = nn.Linear(HEAD_CHANNELS, classes)
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.zeros_(self.anchor_to_class.weight)
        with torch.no_grad():
            assert self.box.bias is not None
            self.box.bias.zero_()
            self.box.bias.view(count, BOX_CHANNELS)[:, 4] = torch.logit(torch.tensor(INITIAL_OBJECTNESS))

    def forward(self, pictures: Tensor) -> Prediction:
        """Predict from RGB pictures [B, 3, S, S], 0 to 255, S a multiple of 32."""
        return self.predict(self.backbone.shallow(pictures))

    def predict(self, shallow: Tensor) -> Prediction:
        """Predict from the features of the frozen blocks (`EfficientNetLite0.shallow`)."""
        stride16, stride32 = self.backbone.deep(shallow)
        stacked = torch.cat((stride32, F.pixel_unshuffle(self.passthrough(stride16), 2)), dim=1)
        vectors = self.per_anchor(self.neck(stacked))
        raw = self.box(vectors)
        batch, _, height, width = raw.shape
        boxes = raw.view(batch, len(self.anchors), BOX_CHANNELS, height, width).permute(0, 1, 3, 4, 2)
        # autocast gives bfloat16, too coarse to decode boxes in; float64 (gradient checks) stays as it is
        return Prediction(boxes.to(torch.promote_types(boxes.dtype, torch.float32)), (stride32, vectors))

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        """Return the class logits [K, classes] of the K boxes of `index`."""
        stride32, vectors = features
        batch, _, height, width = vectors.shape
        cells = stride32.permute(0, 2, 3, 1)[index.picture, index.row, index.column]
        per_anchor = vectors.view(batch, len(self.anchors), ANCHOR_CHANNELS, height, width).permute(0, 1, 3, 4, 2)
        own = per_anchor[index.picture, index.anchor, index.row, index.column]
        weight, bias = self.backbone.head.folded()
        # features may be bfloat16 in training; logits of 1,700 nodes want more digits
        base = F.linear(cells.to(weight.dtype), weight.flatten(1), bias)
        hidden = F.relu6(base + self.anchor_to_class(own.to(weight.dtype)))
        logits: Tensor = self.rows(hidden)
        return logits

"""yolov2-tiny: seven convolutions under pooling, one more, and the region head.

Sources: yolov2-tiny.cfg (COCO) and yolov2-tiny-voc.cfg, which differ in the filters of the convolution above the
backbone, in their anchors and in their number of classes.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.backbones.classifier import Classifier
from training.networks.parts.layers import ConvolutionBatchNormLeaky, LinearConvolution, maxpool, scale_pictures
from training.networks.parts.region_head import RegionDetector, RegionHead
from training.networks.yolov2 import COCO_ANCHORS

STRIDE: Final = 32  # five [maxpool] of stride=2
CHANNELS: Final = 1024  # of the backbone's output
FILTERS: Final = (16, 32, 64, 128, 256, 512, 1024)  # of its [convolutional]s, all size=3; a [maxpool] after all but one
VOC_ANCHORS: Final = ((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52))  # yolov2-tiny-voc.cfg
COCO_TOP: Final = 512  # yolov2-tiny.cfg: the [convolutional] before the last
VOC_TOP: Final = 1024  # yolov2-tiny-voc.cfg: the same


class StayingMaxPool(nn.Module):
    """[maxpool] with size=2 and stride=1: the grid keeps its size, for the right and the lower edge are padded."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 2, 1)


class TinyBackbone(nn.Sequential):
    """Seven convolutions and six poolings, of scaled pictures [B, 3, S, S] to [B, 1024, S / 32, S / 32]."""

    def __init__(self) -> None:
        modules: list[nn.Module] = []
        channels = 3
        for number, filters in enumerate(FILTERS):
            modules.append(ConvolutionBatchNormLeaky(channels, filters, 3))
            if number < len(FILTERS) - 1:
                modules.append(maxpool() if number < len(FILTERS) - 2 else StayingMaxPool())
            channels = filters
        super().__init__(*modules)


class TinyClassifier(Classifier):
    """The backbone as a classifier: a linear 1x1 convolution and the mean over the picture, as Darknet-19 has them.

    Args:
        classes: columns of the answer: flat classes, or the nodes of a WordTree.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(classes, STRIDE)
        self.backbone = TinyBackbone()
        self.class_layer = LinearConvolution(CHANNELS, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map RGB pictures [B, 3, S, S], values 0 to 255, S a multiple of 32, to logits [B, classes]."""
        logits: Tensor = self.class_layer(self.backbone(scale_pictures(pictures, STRIDE)))
        return logits.mean((2, 3))


class YOLOv2Tiny(RegionDetector):
    """The detector.

    Args:
        anchors: [A, 2], width and height in cells.
        classes: class logits a box: flat classes, or the nodes of a WordTree.
        top: filters of the convolution above the backbone.
    """

    def __init__(
        self, anchors: Tensor | Sequence[Sequence[float]] = COCO_ANCHORS, classes: int = 80, top: int = COCO_TOP
    ) -> None:
        super().__init__(torch.as_tensor(anchors), classes)
        self.backbone = TinyBackbone()
        self.top = ConvolutionBatchNormLeaky(CHANNELS, top, 3)
        self.head = RegionHead(top, len(self.anchors), classes)

    def trunk(self, scaled: Tensor) -> Tensor:
        """Map pictures [B, 3, S, S] of values 0 to 1 to [B, top, S / 32, S / 32]."""
        features: Tensor = self.top(self.backbone(scaled))
        return features

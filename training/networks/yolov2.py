"""YOLOv2, the detector on Darknet-19 with a passthrough from its stride-16 features.

Sources: paper section 2 ("fine-grained features") and section 3 ("training for detection"); yolov2-voc.cfg
and yolov2.cfg, which differ in their anchors, their number of classes and their input size alone.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from training.networks.backbones.darknet19 import CHANNELS, FINE_CHANNELS, Darknet19Backbone
from training.networks.parts.layers import REORG_STRIDE, ConvolutionBatchNormLeaky, reorg
from training.networks.parts.region_head import RegionDetector, RegionHead

# [region] anchors, in cells of 32 px.
VOC_ANCHORS: Final = (
    (1.3221, 1.73145),
    (3.19275, 4.00944),
    (5.05587, 8.09892),
    (9.47112, 4.84053),
    (11.2364, 10.0071),
)
COCO_ANCHORS: Final = (
    (0.57273, 0.677385),
    (1.87446, 2.06253),
    (3.33843, 5.47434),
    (7.88282, 3.52778),
    (9.77052, 9.16828),
)
VOC_CLASSES: Final = 20  # yolov2-voc.cfg: [region] classes=20
COCO_CLASSES: Final = 80  # yolov2.cfg: [region] classes=80
VOC_SIZE: Final = 416  # yolov2-voc.cfg: [net] height=416; px
COCO_SIZE: Final = 608  # yolov2.cfg: [net] height=608; px
SQUEEZED_CHANNELS: Final = 64  # the [convolutional] between [route] layers=-9 and [reorg]: filters=64, size=1


class YOLOv2(RegionDetector):
    """Darknet-19, two more convolutions, the passthrough, one more convolution and the region head.

    Args:
        anchors: [A, 2], width and height in cells.
        classes: class logits a box: flat classes, or the nodes of a WordTree.
    """

    def __init__(self, anchors: Tensor | Sequence[Sequence[float]], classes: int) -> None:
        super().__init__(torch.as_tensor(anchors), classes)
        self.backbone = Darknet19Backbone()
        # yolov2-voc.cfg below its row of #: two [convolutional] filters=1024 size=3.
        self.deepened = nn.Sequential(
            ConvolutionBatchNormLeaky(CHANNELS, CHANNELS, 3), ConvolutionBatchNormLeaky(CHANNELS, CHANNELS, 3)
        )
        self.squeeze = ConvolutionBatchNormLeaky(FINE_CHANNELS, SQUEEZED_CHANNELS, 1)
        # [route] layers=-1,-4 puts the folded stride-16 features first; [convolutional] filters=1024 size=3.
        self.merge = ConvolutionBatchNormLeaky(SQUEEZED_CHANNELS * REORG_STRIDE**2 + CHANNELS, CHANNELS, 3)
        self.head = RegionHead(CHANNELS, len(self.anchors), classes)

    def trunk(self, scaled: Tensor) -> Tensor:
        """Map pictures [B, 3, S, S] of values 0 to 1 to [B, 1024, S / 32, S / 32]."""
        fine, coarse = self.backbone(scaled)
        deepened = self.deepened(coarse)
        merged: Tensor = self.merge(torch.cat((reorg(self.squeeze(fine)), deepened), dim=1))
        return merged


def yolov2_voc(classes: int = VOC_CLASSES) -> YOLOv2:
    """Return the network of yolov2-voc.cfg, with random weights."""
    return YOLOv2(VOC_ANCHORS, classes)


def yolov2_coco(classes: int = COCO_CLASSES) -> YOLOv2:
    """Return the network of yolov2.cfg, with random weights."""
    return YOLOv2(COCO_ANCHORS, classes)

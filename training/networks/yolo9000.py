"""YOLO9000: Darknet-19 with a region head of 9,418 WordTree nodes for each of 3 anchors.

Sources: paper section 4 ("joint classification and detection"); yolo9000.cfg. It has no passthrough and
nothing between the backbone and the head: 19 convolutions in all.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from training.networks.backbones.darknet19 import CHANNELS, Darknet19Backbone
from training.networks.parts.region_head import RegionDetector, RegionHead

# yolo9000.cfg: [region] anchors, in cells of 32 px; 3 and not 5 "to limit the output size" (paper section 4).
ANCHORS: Final = ((0.77871, 1.14074), (3.00525, 4.31277), (9.22725, 9.61974))
CLASSES: Final = 9418  # yolo9000.cfg: [region] classes=9418, the nodes of its tree
SIZE: Final = 544  # yolo9000.cfg: [net] height=544; px


class YOLO9000(RegionDetector):
    """Darknet-19's 18 convolutions and the region head: 3 * (5 + 9418) = 28,269 channels, the cfg's filters.

    Args:
        anchors: [A, 2], width and height in cells.
        classes: class logits a box, the nodes of a WordTree.
    """

    def __init__(self, anchors: Tensor | Sequence[Sequence[float]] = ANCHORS, classes: int = CLASSES) -> None:
        super().__init__(torch.as_tensor(anchors), classes)
        self.backbone = Darknet19Backbone()
        self.head = RegionHead(CHANNELS, len(self.anchors), classes)

    def trunk(self, scaled: Tensor) -> Tensor:
        """Map pictures [B, 3, S, S] of values 0 to 1 to [B, 1024, S / 32, S / 32]."""
        _, coarse = self.backbone(scaled)
        features: Tensor = coarse
        return features

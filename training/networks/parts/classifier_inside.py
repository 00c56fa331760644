"""What detectors have in common that keep an ImageNet classifier inside: where a box's name comes from.

Few boxes of few categories would wash 1,000 classes out of the features they train. So the classifier stays whole and
fixed, and a box's class features are its last features averaged over the inner part of the box, as the classifier
averages them over a picture. What the rest of the network knows of the box corrects what the classifier says
(`training.networks.parts.class_layer`).
"""

from abc import abstractmethod
from typing import Final

import torch
from torch import Tensor

from training.networks.backbones.efficientnet_lite import EfficientNetLite
from training.networks.parts.class_layer import TreeClassLayer
from training.networks.parts.detector import BoxIndex, Detector

INNER_PART: Final = 0.7  # of a box's width and height, over which class features are averaged
REDUCED: Final = (5, 8)
"""Eighths of the input's cells of 32 px that the reduced picture has, rounded: 320 px of 512."""


class ClassifierInside(Detector):
    """A detector with a classifier inside.

    The first of a prediction's features is the integral image of the classifier's, the last the boxes [B, A, H, W, 4].

    Attributes:
        backbone: the classifier's.
        class_layer: holds its last layer.
    """

    backbone: EfficientNetLite
    class_layer: TreeClassLayer

    @abstractmethod
    def class_inputs(self, features: tuple[Tensor, ...], index: BoxIndex) -> tuple[Tensor, Tensor]:
        """Return what the class layer sees of the K boxes of `index`: the classifier's features, further evidence."""

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        """Return the class logits [K, classes] of the K boxes of `index`."""
        logits: Tensor = self.class_layer(*self.class_inputs(features, index))
        return logits


def inner_part(boxes: Tensor) -> Tensor:
    """Shrink boxes [K, 4] (centre x, centre y, width, height) to the part class features are averaged over."""
    return torch.cat((boxes[:, :2], boxes[:, 2:] * INNER_PART), dim=1)


def reduced_side(side: int) -> int:
    """Return the side of the reduced picture, px, of an input whose side is a multiple of 32."""
    part, whole = REDUCED
    return 32 * ((2 * part * (side // 32) + whole) // (2 * whole))

"""Darknet-19: the classifier of YOLOv2 and YOLO9000, and the backbone it becomes.

Sources: paper section 3 ("Faster"), "Darknet-19" and its table; darknet19.cfg.
"""

from typing import Final

from torch import Tensor, nn

from training.networks.backbones.classifier import Classifier
from training.networks.parts.layers import (
    ConvolutionBatchNormLeaky,
    LinearConvolution,
    maxpool,
    scale_pictures,
)

CLASSES: Final = 1000  # darknet19.cfg: the last [convolutional], filters=1000 (ImageNet-1k)
TRAINING_SIZE: Final = 224  # paper section 3, "training for classification"; px
FINE_TUNING_SIZE: Final = 448  # the same: the last 10 epochs; px
STRIDE: Final = 32  # five [maxpool] of stride=2
CHANNELS: Final = 1024  # of the backbone's output
FINE_CHANNELS: Final = 512  # of the stride-16 features
POOL: Final = "maxpool"

# darknet19.cfg, [convolutional] after [convolutional]: (filters, size). YOLOv2's passthrough starts where the
# first part ends (yolov2-voc.cfg: [route] layers=-9).
UP_TO_STRIDE_16: Final = (
    (32, 3),
    POOL,
    (64, 3),
    POOL,
    (128, 3),
    (64, 1),
    (128, 3),
    POOL,
    (256, 3),
    (128, 1),
    (256, 3),
    POOL,
    (512, 3),
    (256, 1),
    (512, 3),
    (256, 1),
    (512, 3),
)
UP_TO_STRIDE_32: Final = (POOL, (1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3))


def _stack(channels: int, layers: tuple[str | tuple[int, int], ...]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, str):
            modules.append(maxpool())
        else:
            filters, kernel = layer
            modules.append(ConvolutionBatchNormLeaky(channels, filters, kernel))
            channels = filters
    return nn.Sequential(*modules)


class Darknet19Backbone(nn.Module):
    """The 18 convolutions below Darknet-19's class layer.

    A detector starts from a trained classifier with
    `detector.backbone.load_state_dict(classifier.backbone.state_dict())`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine = _stack(3, UP_TO_STRIDE_16)
        self.coarse = _stack(FINE_CHANNELS, UP_TO_STRIDE_32)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the features of scaled pictures [B, 3, S, S] (values 0 to 1).

        Returns:
            The features of stride 16, [B, 512, S / 16, S / 16], and of stride 32, [B, 1024, S / 32, S / 32].
        """
        fine = self.fine(x)
        return fine, self.coarse(fine)


class Darknet19(Classifier):
    """The classifier.

    Args:
        classes: columns of the answer: flat classes, or the nodes of a WordTree. The network gives logits
            either way.
    """

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__(classes, STRIDE)
        self.backbone = Darknet19Backbone()
        self.class_layer = LinearConvolution(CHANNELS, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map RGB pictures [B, 3, S, S], values 0 to 255, S a multiple of 32, to logits [B, classes].

        The average comes after the class layer, as in the cfg: one logit a cell, then their mean.

        Raises:
            ValueError: the pictures have another shape.
        """
        _, features = self.backbone(scale_pictures(pictures, STRIDE))
        logits: Tensor = self.class_layer(features)
        return logits.mean((2, 3))

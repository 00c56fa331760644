"""The last layer of YOLOv2 and YOLO9000: five numbers and the class logits of every anchor at every cell."""

from abc import abstractmethod
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.detector import BoxIndex, Detector, Prediction
from training.networks.layers import LinearConvolution, scale_pictures

BOX_CHANNELS: Final = 5  # tx, ty, tw, th, to; the cfgs' coords=4 and one objectness
INITIAL_DEVIATION: Final = 0.01  # small: every box starts as its anchor at its cell's centre, every class as likely


class RegionHead(nn.Module):
    """One 1x1 convolution, of which only the asked-for rows are computed.

    Its A * (5 + C) output channels are in darknet's order, anchor by anchor: tx, ty, tw, th, to, then C class
    logits. C is the most of it (9,418 in YOLO9000), so `forward` computes the five box rows of each anchor
    alone, and `class_logits` the class rows of the boxes it is given.

    Args:
        channels: of the features.
        anchors: A, boxes a cell.
        classes: C, class logits a box.
    """

    def __init__(self, channels: int, anchors: int, classes: int) -> None:
        super().__init__()
        self.anchors = anchors
        self.classes = classes
        self.convolution = LinearConvolution(channels, anchors * (BOX_CHANNELS + classes), deviation=INITIAL_DEVIATION)

    def forward(self, features: Tensor) -> Tensor:
        """Map features [B, channels, H, W] to the raw boxes [B, A, H, W, 5] (float32 under autocast, too)."""
        weight, bias = self._rows()
        raw = F.conv2d(features, weight[:, :BOX_CHANNELS].flatten(0, 1), bias[:, :BOX_CHANNELS].flatten())
        batch, _, height, width = raw.shape
        boxes = raw.reshape(batch, self.anchors, BOX_CHANNELS, height, width).permute(0, 1, 3, 4, 2)
        return boxes.to(torch.promote_types(boxes.dtype, torch.float32))

    def class_logits(self, features: Tensor, index: BoxIndex) -> Tensor:
        """Return the class logits [K, C] of the K boxes of `index`, in its order; K may be 0.

        Args:
            features: [B, channels, H, W], those `forward` had.
            index: the boxes; every anchor is one of 0 ... A - 1.
        """
        weight, bias = self._rows()
        vectors = features.permute(0, 2, 3, 1)[index.picture, index.row, index.column]
        class_weights = weight[:, BOX_CHANNELS:].flatten(2).unbind(0)
        class_biases = bias[:, BOX_CHANNELS:].unbind(0)
        # One matrix product an anchor, over its boxes alone; then the rows go back to where `index` has them.
        places = [(index.anchor == anchor).nonzero().squeeze(1) for anchor in range(self.anchors)]
        logits = [
            F.linear(vectors[place], class_weight, class_bias)
            for place, class_weight, class_bias in zip(places, class_weights, class_biases, strict=True)
        ]
        grouped = torch.cat(places)
        position = torch.arange(grouped.shape[0], device=grouped.device)
        return torch.cat(logits)[torch.zeros_like(grouped).scatter(0, grouped, position)]

    def dense(self, features: Tensor) -> Tensor:
        """Return every row at every cell, [B, A * (5 + C), H, W]: what darknet's region layer is given."""
        raw: Tensor = self.convolution(features)
        return raw

    def _rows(self) -> tuple[Tensor, Tensor]:
        """Return the weights [A, 5 + C, channels, 1, 1] and biases [A, 5 + C]."""
        rows = BOX_CHANNELS + self.classes
        weight, bias = self.convolution.weight, self.convolution.bias
        return weight.view(self.anchors, rows, -1, 1, 1), bias.view(self.anchors, rows)


class RegionDetector(Detector):
    """A detector whose last layer is a `RegionHead`.

    Args:
        channels: of the features the head reads.
        anchors: [A, 2], width and height in cells.
        classes: class logits a box.
    """

    head: RegionHead

    @abstractmethod
    def trunk(self, scaled: Tensor) -> Tensor:
        """Map pictures [B, 3, S, S], values 0 to 1, to what the head reads, [B, channels, S / 32, S / 32]."""

    def forward(self, pictures: Tensor) -> Prediction:
        """Predict from RGB pictures [B, 3, S, S] with values 0 to 255; S is a multiple of 32.

        Raises:
            ValueError: the pictures have another shape.
        """
        features = self._features(pictures)
        return Prediction(self.head(features), (features,))

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        """Return the class logits [K, classes] of the K boxes of `index`."""
        return self.head.class_logits(features[0], index)

    def dense(self, pictures: Tensor) -> Tensor:
        """Return the raw output [B, A * (5 + C), S / 32, S / 32] of darknet's last convolution."""
        return self.head.dense(self._features(pictures))

    def _features(self, pictures: Tensor) -> Tensor:
        return self.trunk(scale_pictures(pictures, self.stride))

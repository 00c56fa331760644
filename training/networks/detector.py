"""What every detector of this package is: a grid of anchors, five numbers a box, and class logits on demand.

The class layer of YOLO9000 is a third of its work (9,418 rows for each of 3 anchors), and nearly all of it is spent
on boxes with nothing in them. So a detector here never returns class logits for the whole grid: it returns the
features they are computed from, and `class_logits` computes the rows for the boxes that the loss, or the
objectness gate of the exported graph, asks for.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn


class BoxIndex(NamedTuple):
    """Which boxes of a batch are meant: four int64 tensors of shape [K]."""

    picture: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor


class Prediction(NamedTuple):
    """What a detector says of a batch of B pictures on a grid of H x W cells with A anchors.

    boxes: [B, A, H, W, 5], the raw outputs (tx, ty, tw, th, to) of paper section 2, "direct location prediction".
    features: the tensors `Detector.class_logits` gathers from; each detector has its own.
    """

    boxes: Tensor
    features: tuple[Tensor, ...]


class Detector(nn.Module, ABC):
    """A YOLOv2-style detector.

    Attributes:
        anchors: [A, 2] buffer, width and height of each anchor in cells.
        stride: pixels of the input picture to one cell.
        multiple: what an input picture's sides have to be multiples of, px.
        classes: number of class logits a box has.
    """

    anchors: Tensor

    def __init__(self, anchors: Tensor, classes: int, stride: int = 32, multiple: int = 32) -> None:
        super().__init__()
        self.register_buffer("anchors", anchors.to(torch.float32))
        self.classes = classes
        self.stride = stride
        self.multiple = multiple

    @abstractmethod
    def forward(self, pictures: Tensor) -> Prediction:
        """Predict from RGB pictures [B, 3, S, S] with values 0 to 255; S is a multiple of `multiple`.

        Normalisation belongs to the network, so that training, evaluation and the exported graph cannot differ.
        """

    @abstractmethod
    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        """Return the class logits [K, classes] of the K boxes of `index`."""


def decode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Turn raw outputs [B, A, H, W, 5] into boxes [B, A, H, W, 4]: centre x, centre y, width, height.

    All four are fractions of the input picture: x = (column + sigmoid(tx)) / W and w = anchor_w * exp(tw) / W
    (paper section 2, "direct location prediction").
    """
    height, width = boxes.shape[2:4]
    column = torch.arange(width, device=boxes.device, dtype=boxes.dtype)
    row = torch.arange(height, device=boxes.device, dtype=boxes.dtype)[:, None]
    anchor = anchors.to(boxes.dtype)[:, None, None, :]
    x = (boxes[..., 0].sigmoid() + column) / width
    y = (boxes[..., 1].sigmoid() + row) / height
    w = boxes[..., 2].exp() * anchor[..., 0] / width
    h = boxes[..., 3].exp() * anchor[..., 1] / height
    return torch.stack((x, y, w, h), dim=-1)


def decode_chosen(raw: Tensor, index: BoxIndex, anchors: Tensor, grid: Tensor) -> Tensor:
    """Return the boxes [K, 4], as `decode_boxes` has them, of the raw outputs [K, 5] of the K boxes of `index`.

    Args:
        raw: of those boxes alone.
        index: which they are.
        anchors: [A, 2], cells.
        grid: [2], cells across and down.
    """
    corner = torch.stack((index.column, index.row), dim=1)
    sizes = anchors[index.anchor].to(raw.dtype) * raw[:, 2:4].exp()
    return torch.cat(((corner + raw[:, :2].sigmoid()) / grid, sizes / grid), dim=1)

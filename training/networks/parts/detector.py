"""What every detector of this package is: a grid of anchors, five numbers a box, and class logits on demand.

The class layer of YOLO9000 is a third of its work (9,418 rows for each of 3 anchors), and nearly all of it is spent
on boxes with nothing in them. So a detector here never returns class logits for the whole grid: it returns the
features they are computed from, and `class_logits` computes the rows for the boxes that the loss, or the
objectness gate of the exported graph, asks for.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Location(StrEnum):
    """What tx and ty say of a box's centre (paper section 2, "direct location prediction").

    DIRECT: where in its cell it lies, by a sigmoid.

    DISTANCES is not the paper's: the four numbers are how far the left, top, right and bottom side of the box are from
    the cell's middle, in cells, and anchors say nothing (Tian et al., "FCOS", ICCV 2019, section 3.1).
    """

    DIRECT = "direct"
    DISTANCES = "distances"


class BoxIndex(NamedTuple):
    """Which boxes of a batch are meant: four int64 tensors of shape [K]."""

    picture: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor


class Prediction(NamedTuple):
    """What a detector says of a batch of B pictures on a grid of H x W cells with A anchors.

    boxes: [B, A, H, W, 5], the raw outputs (tx, ty, tw, th, to) of paper section 2, "direct location prediction", or
        what `Location` has in their place.
    features: the tensors `Detector.class_logits` gathers from; each detector has its own.
    """

    boxes: Tensor
    features: tuple[Tensor, ...]


class Judgement(NamedTuple):
    """What a detector answers of K boxes.

    boxes: [K, 4], centre x, centre y, width, height as fractions of the picture.
    objectness: [K], 0 to 1.
    class_logits: [K, classes].
    """

    boxes: Tensor
    objectness: Tensor
    class_logits: Tensor


class Detector(nn.Module, ABC):
    """A YOLOv2-style detector.

    A network of one grid overrides `forward`, one of several `grids` and `anchors_of`.

    Attributes:
        anchors: [A, 2] buffer, width and height of each anchor in cells; of all grids, in cells of the finest.
        stride: pixels of the input picture to one cell; of the finest grid, where there are several.
        multiple: what an input picture's sides have to be multiples of, px.
        classes: number of class logits a box has.
        location: what tx and ty say.
    """

    anchors: Tensor
    location: Location = Location.DIRECT

    def __init__(self, anchors: Tensor, classes: int, stride: int = 32, multiple: int = 32) -> None:
        super().__init__()
        self.register_buffer("anchors", anchors.to(torch.float32))
        self.classes = classes
        self.stride = stride
        self.multiple = multiple

    def forward(self, pictures: Tensor) -> Prediction:
        """Predict, with a network of one grid, from RGB pictures [B, 3, S, S], 0 to 255, S a multiple of `multiple`.

        Normalisation belongs to the network, so that training, evaluation and the exported graph cannot differ.
        """
        raise NotImplementedError(f"{type(self).__name__} has several grids: call grids()")

    def grids(self, pictures: Tensor) -> tuple[Prediction, ...]:
        """Predict on every grid that is trained, the finest first: most networks have one alone."""
        return (self(pictures),)

    def look(self, pictures: Tensor) -> tuple[Prediction, ...]:
        """Predict what `judge` needs from pictures [B, 3, S, S]: the same, or less where few boxes pass the gate.

        The objectness of a box is the last of its raw outputs, however many a detector has.
        """
        return self.grids(pictures)

    def anchors_of(self, grid: int) -> Tensor:  # noqa: ARG002 - most networks have one grid
        """Return the anchors [A, 2] of one of what `grids` gives, in cells of that grid."""
        return self.anchors

    @abstractmethod
    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        """Return the class logits [K, classes] of the K boxes of `index`."""

    def logits_of(self, predictions: Sequence[Prediction], indexes: Sequence[BoxIndex]) -> Tensor:
        """Return the class logits [K, classes] of the boxes of several predictions, one after the other.

        Args:
            predictions: what `grids` gave.
            indexes: which boxes of each.
        """
        return joined([self.class_logits(one.features, index) for one, index in zip(predictions, indexes, strict=True)])

    def judge(self, predictions: Sequence[Prediction], indexes: Sequence[BoxIndex]) -> Judgement:
        """Return what is answered of boxes of several predictions, one after the other.

        Args:
            predictions: what `look` gave.
            indexes: which boxes of each.
        """
        raw = [one.boxes[tuple(index)] for one, index in zip(predictions, indexes, strict=True)]
        boxes = [
            self.boxes_of(grid, prediction, index, here)
            for grid, (prediction, index, here) in enumerate(zip(predictions, indexes, raw, strict=True))
        ]
        return Judgement(joined(boxes), joined(raw)[:, 4].sigmoid(), self.logits_of(predictions, indexes))

    def boxes_of(self, grid: int, prediction: Prediction, index: BoxIndex, raw: Tensor) -> Tensor:
        """Return K boxes [K, 4] of one grid, as `decode_boxes` has them.

        Args:
            grid: which.
            prediction: on it.
            index: which boxes.
            raw: their raw outputs [K, 4 or 5].
        """
        height, width = prediction.boxes.shape[2:4]
        return decode_chosen(raw, index, self.anchors_of(grid), (height, width), self.location)

    def least_objectness(self, threshold: Tensor) -> Tensor:
        """Return the sigmoid of to without which `judge` answers less than a threshold, both 0 to 1."""
        return threshold


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return tensors one after the other; a single one as it is, without a node in an exported graph."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


class Chosen(NamedTuple):
    """Boxes of one grid, picked from those of all.

    rows: [K] int64, their places among all that were picked.
    boxes: which they are.
    """

    rows: Tensor
    boxes: BoxIndex


def on_grids(picture: Tensor, place: Tensor, shapes: Sequence[tuple[int, int, int]]) -> tuple[Chosen, ...]:
    """Say of boxes on which grid they are, and where.

    Args:
        picture: [K] int64, of each box.
        place: [K] int64, its number when the boxes of a picture are counted through all grids, one after the other.
        shapes: anchors, height and width of each grid.
    """
    found = []
    for anchors, height, width in shapes:
        count = anchors * height * width
        rows = torch.nonzero((place >= 0) & (place < count)).squeeze(1)
        at = place[rows]
        found.append(Chosen(rows, BoxIndex(picture[rows], at // (height * width), at // width % height, at % width)))
        place = place - count
    return tuple(found)


def decode_boxes(boxes: Tensor, anchors: Tensor, location: Location = Location.DIRECT) -> Tensor:
    """Turn raw outputs [B, A, H, W, 5] into boxes [B, A, H, W, 4]: centre x, centre y, width, height.

    All four are fractions of the input picture: x = (column + sigmoid(tx)) / W and w = anchor_w * exp(tw) / W
    (paper section 2, "direct location prediction").
    """
    height, width = boxes.shape[2:4]
    column = torch.arange(width, device=boxes.device, dtype=boxes.dtype)
    row = torch.arange(height, device=boxes.device, dtype=boxes.dtype)[:, None]
    return _decode(boxes, column, row, anchors.to(boxes.dtype)[:, None, None, :], (height, width), location)


def decode_chosen(
    raw: Tensor, index: BoxIndex, anchors: Tensor, grid: tuple[int, int], location: Location = Location.DIRECT
) -> Tensor:
    """Return the boxes [K, 4], as `decode_boxes` has them, of the raw outputs [K, 4 or 5] of the K boxes of `index`.

    Args:
        raw: of those boxes alone; objectness may be left out.
        index: which they are.
        anchors: [A, 2], cells.
        grid: its height and width, cells.
        location: what tx and ty say.
    """
    return _decode(raw, index.column, index.row, anchors[index.anchor].to(raw.dtype), grid, location)


def _decode(
    raw: Tensor, column: Tensor, row: Tensor, anchor: Tensor, grid: tuple[int, int], location: Location
) -> Tensor:
    """Decode raw outputs [..., 4 or 5], given the cell and the anchor [..., 2] of each, broadcast."""
    height, width = grid  # numbers: as tensors they would be constants of an exported graph, whatever its input's size
    if location is Location.DISTANCES:
        left, top, right, bottom = raw[..., :4].unbind(-1)
        x = (column + 0.5 + (right - left) / 2) / width
        y = (row + 0.5 + (bottom - top) / 2) / height
        return torch.stack((x, y, (left + right) / width, (top + bottom) / height), dim=-1)
    x = (raw[..., 0].sigmoid() + column) / width
    y = (raw[..., 1].sigmoid() + row) / height
    w = raw[..., 2].exp() * anchor[..., 0] / width
    h = raw[..., 3].exp() * anchor[..., 1] / height
    return torch.stack((x, y, w, h), dim=-1)

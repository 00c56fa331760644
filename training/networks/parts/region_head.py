"""The last layer of YOLOv2 and YOLO9000: five numbers and the class logits of every anchor at every cell."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.parts.detector import BoxIndex, Detector, Prediction
from training.networks.parts.layers import LinearConvolution, scale_pictures

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
        self.folded: FoldedRows | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Map features [B, channels, H, W] to the raw boxes [B, A, H, W, 5] (float32 under autocast, too)."""
        raw = F.conv2d(features, *self._box_rows())
        batch, _, height, width = raw.shape
        boxes = raw.reshape(batch, self.anchors, BOX_CHANNELS, height, width).permute(0, 1, 3, 4, 2)
        return boxes.to(torch.promote_types(boxes.dtype, torch.float32))

    def class_logits(self, features: Tensor, index: BoxIndex) -> Tensor:
        """Return the class logits [K, C] of the K boxes of `index`, in its order; K may be 0.

        They are float32 if the features are less precise, as they are under autocast: the loss is computed outside it.

        Args:
            features: [B, channels, H, W], those `forward` had.
            index: the boxes; every anchor is one of 0 ... A - 1.
        """
        vectors = features.permute(0, 2, 3, 1)[index.picture, index.row, index.column]
        vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
        # One matrix product an anchor, over its boxes alone; then the rows go back to where `index` has them.
        places = [(index.anchor == anchor).nonzero().squeeze(1) for anchor in range(self.anchors)]
        logits = [
            F.linear(vectors[place], class_weight, class_bias)
            for place, (class_weight, class_bias) in zip(places, self._class_rows(), strict=True)
        ]
        grouped = torch.cat(places)
        position = torch.arange(grouped.shape[0], device=grouped.device)
        return torch.cat(logits)[torch.zeros_like(grouped).scatter(0, grouped, position)]

    def dense(self, features: Tensor) -> Tensor:
        """Return every row at every cell, [B, A * (5 + C), H, W]: what darknet's region layer is given."""
        raw: Tensor = self.convolution(features)
        return raw

    def fold(self) -> None:
        """Keep the box rows and each anchor's class rows apart: so an exported graph names them after this module."""
        if self.folded is None:
            self.folded = FoldedRows(*self._box_rows(), list(self._class_rows()))

    def unfolded_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return this module's state from that of its `folded` rows; a bias that is left out is zero."""
        weights, biases = [], []
        for anchor, box in enumerate(torch.unflatten(state["box_weight"], 0, (self.anchors, BOX_CHANNELS))):
            rows = state[f"classes.{anchor}.weight"]
            first = anchor * BOX_CHANNELS
            box_bias = state.get("box_bias", box.new_zeros(self.anchors * BOX_CHANNELS))[first : first + BOX_CHANNELS]
            weights += [box, rows.view(-1, *box.shape[1:])]
            biases += [box_bias, state.get(f"classes.{anchor}.bias", rows.new_zeros(len(rows)))]
        return {"convolution.weight": torch.cat(weights), "convolution.bias": torch.cat(biases)}

    def take_rows(self, weight: Tensor, bias: Tensor, pairs: Sequence[tuple[int, int]]) -> None:
        """Take over the rows of another head with as many anchors: the boxes', and some classes'.

        Args:
            weight, bias: of its convolution.
            pairs: a class here, and which of the other head's it is.
        """
        here, there = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).add(BOX_CHANNELS).unbind(1)
        with torch.no_grad():
            for own, other in ((self.convolution.weight, weight), (self.convolution.bias, bias)):
                rows = own.view(self.anchors, -1, *own.shape[1:])
                others = other.view(self.anchors, -1, *own.shape[1:]).to(own)
                rows[:, :BOX_CHANNELS] = others[:, :BOX_CHANNELS]
                rows[:, here] = others[:, there]

    def _box_rows(self) -> tuple[Tensor, Tensor]:
        """Return the weights [A * 5, channels, 1, 1] and biases [A * 5] of the boxes."""
        if self.folded is not None:
            return self.folded.box_weight, self.folded.box_bias
        weight, bias = self._rows()
        return weight[:, :BOX_CHANNELS].flatten(0, 1), bias[:, :BOX_CHANNELS].flatten()

    def _class_rows(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the weights [C, channels] and biases [C] of each anchor's classes."""
        if self.folded is not None:
            yield from (rows.rows() for rows in self.folded.classes if isinstance(rows, ClassRows))
            return
        weight, bias = self._rows()
        yield from zip(weight[:, BOX_CHANNELS:].flatten(2), bias[:, BOX_CHANNELS:], strict=True)

    def _rows(self) -> tuple[Tensor, Tensor]:
        """Return the weights [A, 5 + C, channels, 1, 1] and biases [A, 5 + C]."""
        rows = BOX_CHANNELS + self.classes
        weight, bias = self.convolution.weight, self.convolution.bias
        return weight.view(self.anchors, rows, -1, 1, 1), bias.view(self.anchors, rows)


class FoldedRows(nn.Module):
    """A head's rows as parameters of their own."""

    def __init__(self, box_weight: Tensor, box_bias: Tensor, classes: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.box_weight = nn.Parameter(box_weight.detach().clone())
        self.box_bias = nn.Parameter(box_bias.detach().clone())
        self.classes = nn.ModuleList(ClassRows(weight, bias) for weight, bias in classes)


class ClassRows(nn.Module):
    """The rows of one anchor's classes."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().flatten(1).clone())
        self.bias = nn.Parameter(bias.detach().clone())

    def rows(self) -> tuple[Tensor, Tensor]:
        """Return the weights [C, channels] and biases [C]."""
        return self.weight, self.bias


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

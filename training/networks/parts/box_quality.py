"""A second look at each box that passed the objectness gate: is it a whole object, or a part of one, or nothing?

Objectness born on COCO finds a snail, and its shell, and its head: on ilsvrc_val 98 of 100 objects have a box, but
most of the false alarms that are surer than the right box lie on the same thing. Once the gate has left a few hundred
boxes, what their names are made of is at hand, and says more of a box than its one cell does. From it a small network
judges the box's **quality**, 0 to 1: learned by `refit` from how far boxes of the training pictures overlap an object
(after Jiang et al., "Acquisition of localization confidence for accurate object detection", ECCV 2018).

The answer is o * (o * q) ** power, of objectness o and quality q, brought to the scale of a probability by a scale and
a shift of its logit. It rises with o, so that a threshold on the answer is, less strictly, one on objectness: what
cannot reach it is never judged.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.backbones.nanodet import SHARPNESS

HIDDEN: Final = 64
SLOPE: Final = 0.1
FURTHER: Final = 7 + SHARPNESS  # numbers a box has beside what its name is made of
LEAST_SIDE: Final = 1e-4  # of a picture
SLACK: Final = 1e-3  # of the least objectness: rounding, of logits of 20 and more, must not leave out what reaches it
LARGEST: Final = 1 - 1e-6  # of a score whose logit is taken


class BoxQuality(nn.Module):
    """How sure an answer is, from objectness and what is seen of a box; at first objectness alone.

    Args:
        inputs: length of what the class layer sees of a box.
        dropout: part of the inputs and of the hidden units that is left out while it is trained.
    """

    power: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, inputs: int, dropout: float = 0) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs + FURTHER, HIDDEN)
        self.output = nn.Linear(HIDDEN, 1)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.register_buffer("power", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))

    def forward(self, seen: Tensor) -> Tensor:
        """Map what is seen of boxes [K, inputs + FURTHER], see `seen_of_boxes`, to the logits [K] of their quality."""
        hidden = F.leaky_relu(self.hidden(self.dropout(seen)), SLOPE)
        logits: Tensor = self.output(self.dropout(hidden))[:, 0]
        return logits

    def answer(self, objectness: Tensor, quality: Tensor) -> Tensor:
        """Return how sure it is that each box is an object, [K], 0 to 1, from two logits [K]."""
        return (self.scale * self.score(objectness, quality) + self.shift).sigmoid()

    def score(self, objectness: Tensor, quality: Tensor) -> Tensor:
        """Return the logit of o * (o * q) ** power [K] from those of both [K]."""
        logarithm = (1 + self.power) * F.logsigmoid(objectness) + self.power * F.logsigmoid(quality)
        return logarithm - torch.log1p(-logarithm.exp().clamp(max=LARGEST))

    def least_objectness(self, threshold: Tensor) -> Tensor:
        """Return the objectness, 0 to 1, without which no answer reaches a threshold, 0 to 1."""
        score = ((torch.logit(threshold) - self.shift) / self.scale).sigmoid()
        return score ** (1 / (1 + self.power)) * (1 - SLACK)


def seen_of_boxes(features: Tensor, evidence: Tensor, boxes: Tensor, objectness: Tensor, sharpness: Tensor) -> Tensor:
    """Join what the quality of boxes is judged by, [K, F + E + FURTHER].

    Args:
        features, evidence: [K, F] and [K, E], what the class layer sees.
        boxes: [K, 4], centre x, centre y, width, height as fractions of the picture.
        objectness: [K], logits.
        sharpness: [K, SHARPNESS], of the sides.
    """
    sides = boxes[:, 2:].clamp(min=LEAST_SIDE).log()
    place = (objectness[:, None], boxes[:, :2], sides, sides.square())
    return torch.cat((features, evidence, *place, sharpness.to(features.dtype)), dim=1)

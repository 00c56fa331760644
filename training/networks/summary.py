"""How large a network is and how much it computes, without computing it."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from training.networks.parts.detector import BoxIndex, Detector, Prediction
from training.networks.parts.region_head import RegionHead


@dataclass(frozen=True)
class Summary:
    """Counts for one picture. A multiply-add is 2 FLOP; only convolutions and matrix products are counted.

    Attributes:
        size: side of the square input, px.
        parameters: numbers that training changes: weights, biases, and the scales and biases of batch
            normalisation.
        statistics: rolling means and variances of batch normalisation; a darknet weights file holds them as
            well.
        forward_flop: of the network's forward; for a detector that is everything but the class logits.
        boxes: boxes a detector predicts, 0 for a classifier.
        class_flop_per_box: of one box's class logits.
    """

    size: int
    parameters: int
    statistics: int
    forward_flop: int
    boxes: int
    class_flop_per_box: int

    @property
    def class_flop(self) -> int:
        """FLOP of the class logits of every box."""
        return self.boxes * self.class_flop_per_box

    @property
    def dense_flop(self) -> int:
        """FLOP with the class logits of every box, what darknet computes."""
        return self.forward_flop + self.class_flop


def summarise(network: nn.Module, size: int) -> Summary:
    """Count the parameters and FLOP of a network for one RGB picture of `size` x `size` px.

    Runs a copy of the network on torch's meta device, which knows shapes and no numbers: nothing of the
    network's size is allocated, and the network may itself be on the meta device.

    Raises:
        ValueError: the network does not take that size.
    """
    shapes = _on_meta(network).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        pictures = torch.empty(1, 3, size, size, device="meta")
        output: Any = shapes.grids(pictures) if isinstance(shapes, Detector) else shapes(pictures)
    boxes = class_flop = 0
    if isinstance(shapes, Detector):
        boxes = sum(grid.boxes[..., 0].numel() for grid in output)
        class_flop = _class_flop_per_box(shapes, output[0])
    return Summary(
        size=size,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        statistics=sum(
            buffer.numel() for name, buffer in network.named_buffers() if name.endswith(("running_mean", "running_var"))
        ),
        forward_flop=counter.get_total_flops(),
        boxes=boxes,
        class_flop_per_box=class_flop,
    )


def _on_meta(network: nn.Module) -> nn.Module:
    """Copy a network's structure, its tensors replaced by ones without numbers.

    `deepcopy` takes what its memo holds for the copy of an object, so that no tensor is ever copied.
    """
    memo: dict[int, Any] = {}
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(
            torch.empty_like(parameter, device="meta"), requires_grad=parameter.requires_grad
        )
    for buffer in network.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(network, memo)


def _class_flop_per_box(detector: Detector, prediction: Prediction) -> int:
    heads = [module for module in detector.modules() if isinstance(module, RegionHead)]
    if heads:  # it sorts boxes by their anchor, which shapes alone cannot do
        return sum(2 * head.convolution.in_channels * head.classes for head in heads)
    zero: Tensor = torch.zeros(1, dtype=torch.int64, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        detector.class_logits(prediction.features, BoxIndex(zero, zero, zero, zero))
    flop: int = counter.get_total_flops()
    return flop

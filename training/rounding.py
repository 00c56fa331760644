"""Rounding a detector's weights to float16 before it is exported, so that a file that stores them so loses nothing.

Batch norms are folded into their convolutions first: what is stored, and so what must be rounded, is the product.
"""

import torch
from torch import nn

from training.networks.efficientnet_lite import NORM_EPSILON, FoldedConvolution
from training.networks.yolov2_lite import NormalisedConvolution, YOLOv2Lite


@torch.no_grad()
def round_to_half(detector: YOLOv2Lite) -> None:
    """Fold the norms of a detector in evaluation mode into its convolutions and round all its parameters, in place."""
    for module in detector.modules():
        if isinstance(module, FoldedConvolution):
            weight, bias = module.folded()
            module.weight.copy_(weight)
            module.bias.copy_(bias)
            module.scale.fill_(1)
            module.running_mean.zero_()
            module.running_var.fill_(1 - NORM_EPSILON)
        elif isinstance(module, NormalisedConvolution):
            _fold(module)
    for parameter in detector.parameters():
        parameter.copy_(parameter.half())


def _fold(pair: NormalisedConvolution) -> None:
    """Leave a norm nothing to do but to add its bias."""
    convolution, norm = pair[0], pair[1]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    convolution.weight.mul_(scale[:, None, None, None])
    norm.bias.sub_(norm.running_mean * scale)
    norm.weight.fill_(1)
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)

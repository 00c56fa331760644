"""What is done to a detector's weights before it is exported.

Norms are folded into their convolutions: what is stored, and so what is rounded, is the product. Rounded to float16
before the export, weights lose nothing in a file that stores them so.
"""

import torch
from torch import nn

from training.networks.backbones.efficientnet_lite import FoldedConvolution
from training.networks.parts.layers import ConvolutionBatchNormLeaky
from training.networks.parts.region_head import RegionHead
from training.networks.yolov2_efficientnet import NormalisedConvolution


def fold_norms(detector: nn.Module) -> None:
    """Fold the norms of a detector in evaluation mode into its convolutions, in place."""
    for module in list(detector.modules()):
        if isinstance(module, FoldedConvolution | NormalisedConvolution | ConvolutionBatchNormLeaky | RegionHead):
            module.fold()


@torch.no_grad()
def round_to_half(detector: nn.Module) -> None:
    """Round a detector's parameters to float16, in place."""
    for parameter in detector.parameters():
        parameter.copy_(parameter.half())

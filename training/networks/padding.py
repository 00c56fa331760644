"""Padding of strided convolutions as the published EfficientNet weights expect it."""

from torch import Tensor
from torch.nn import functional as F


def pad_like_tensorflow(x: Tensor, kernel: int, stride: int) -> tuple[Tensor, int]:
    """Prepare [B, C, H, W] for a convolution with TensorFlow's "SAME" padding.

    With stride 1 it is symmetric, and the convolution can do it. With stride 2 on an even side the odd pixel of padding
    goes to the right and the bottom, one pixel off torch's convention; every side here is a multiple of the stride.

    Returns:
        The (padded) tensor and the padding left for the convolution.
    """
    if stride == 1:
        return x, kernel // 2
    total = kernel - stride
    before = total // 2
    return F.pad(x, (before, total - before, before, total - before)), 0

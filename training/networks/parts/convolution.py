"""Convolutions as the published EfficientNet weights expect them, and as a CPU trains them fast.

Measured on 2 cores with avx512_bf16, 16 pictures, channels last, forward and backward together: a 5x5 depthwise
convolution of 1,152 channels at 12x12 takes 71 ms in bfloat16 and 26 ms in float32; with stride 2, of 672 channels at
24x24, 232 ms and 16 ms. Forward alone bfloat16 is no slower. Padding a frozen layer's 96 channels at 192x192 costs four
times its convolution.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, groups: int = 1) -> Tensor:
    """Convolve [B, C, H, W] with TensorFlow's "SAME" padding.

    With stride 1 it is symmetric. With stride 2 on an even side (every side here is a multiple of the stride) the odd
    pixel of padding goes to the right and the bottom, one pixel off torch's convention: a kernel that has grown a row
    and a column of zeros at its top and left sees the same pixels with symmetric padding, and no padded copy is made.
    An exported graph keeps the smaller kernel: its runtime pads as it goes.

    On a CPU a depthwise convolution that is trained is computed in float32, whatever autocast says.
    """
    padding = weight.shape[-1] // 2
    if stride > 1:
        before = (weight.shape[-1] - stride) // 2
        if torch.compiler.is_exporting():
            x, padding = F.pad(x, (before, before + 1, before, before + 1)), 0
        else:
            weight, padding = F.pad(weight, (1, 0, 1, 0)), before + 1
    if groups > 1 and weight.requires_grad and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(x.float(), weight, bias, stride, padding, 1, groups)
    return F.conv2d(x, weight, bias, stride, padding, 1, groups)

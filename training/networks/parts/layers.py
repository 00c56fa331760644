"""The layers Darknet-19, YOLOv2 and YOLO9000 are made of, in darknet's conventions."""

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.parts.activation import leaky_relu

LEAKY_SLOPE: Final = 0.1  # darknet's activation=leaky
BATCH_NORM_EPSILON: Final = 1e-6  # darknet adds it to the standard deviation, not to the variance
BATCH_NORM_MOMENTUM: Final = 0.01  # darknet: rolling = .99 rolling + .01 batch
REORG_STRIDE: Final = 2  # yolov2-voc.cfg, yolov2.cfg: [reorg] stride=2
LARGEST_VALUE: Final = 255.0  # of a picture's channel; darknet divides by it
PICTURE_DIMENSIONS: Final = 4


class DarknetBatchNorm(nn.BatchNorm2d):
    """Batch normalisation as in darknet's CPU code: (x - mean) / (sqrt(variance) + 1e-6) * weight + bias.

    torch adds its epsilon to the variance instead. Trained weights hold channels of tiny variance, where the
    two differ visibly (at a variance of 1e-8 by 1 %), so with rolling statistics (`eval()`) this module
    follows darknet exactly: it hands torch the variance whose root is the divisor above, and no epsilon.

    With a batch's statistics (`train()`) it is torch's own kernel with epsilon 1e-12. The divisor
    sqrt(variance + 1e-12) is darknet's where the variance is zero, and never off by more than a standard
    deviation of 1e-6.

    Two differences remain while training: darknet divides by n - 1 where torch normalises a batch by n (both
    keep the n - 1 estimate), and darknet's rolling variance starts at 0 where torch's starts at 1.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=BATCH_NORM_EPSILON**2, momentum=BATCH_NORM_MOMENTUM)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name torch's own signature gives it
        """Normalise [B, C, H, W]."""
        if self.training:
            return super().forward(input)
        divisor = self.running_var.sqrt() + BATCH_NORM_EPSILON
        return F.batch_norm(input, self.running_mean, divisor.square(), self.weight, self.bias, training=False, eps=0.0)


class ConvolutionBatchNormLeaky(nn.Module):
    """darknet's [convolutional] with batch_normalize=1, stride=1, pad=1 and activation=leaky.

    pad=1 means half the kernel on every side: the grid keeps its size.

    Args:
        channels_in: channels of the input.
        channels_out: the cfg's `filters`.
        kernel: the cfg's `size`, odd.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
        self.normalisation: nn.Module = DarknetBatchNorm(channels_out)
        initialise(self.convolution.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels_in, H, W] to [B, channels_out, H, W]."""
        return leaky_relu(self.normalisation(self.convolution(x)), LEAKY_SLOPE)

    @torch.no_grad()
    def fold(self) -> None:
        """Become one convolution with a bias, which an exported graph names after this module."""
        norm = self.normalisation
        if not isinstance(norm, DarknetBatchNorm):
            return
        scale = norm.weight / (norm.running_var.sqrt() + BATCH_NORM_EPSILON)
        self.convolution.weight.mul_(scale[:, None, None, None])
        self.convolution.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        self.normalisation = nn.Identity()

    def unfolded_state(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        """Return the state in which this module, not folded, is the one convolution of a weight and a bias."""
        return {
            "convolution.weight": weight,
            "normalisation.weight": torch.ones_like(bias),
            "normalisation.bias": bias,
            "normalisation.running_mean": torch.zeros_like(bias),
            "normalisation.running_var": torch.full_like(bias, (1 - BATCH_NORM_EPSILON) ** 2),
        }


class LinearConvolution(nn.Conv2d):
    """darknet's last [convolutional], with size=1, activation=linear and a bias instead of batch normalisation.

    Args:
        channels_in: channels of the input.
        channels_out: the cfg's `filters`.
        deviation: standard deviation of the initial weights; None for darknet's.
    """

    bias: nn.Parameter

    def __init__(self, channels_in: int, channels_out: int, deviation: float | None = None) -> None:
        super().__init__(channels_in, channels_out, 1)
        if deviation is None:
            initialise(self.weight)
        else:
            nn.init.normal_(self.weight, std=deviation)
        nn.init.zeros_(self.bias)


def initialise(weight: Tensor) -> None:
    """Draw a convolution's weights as darknet does, from a normal distribution of variance 2 / fan-in."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu")


def maxpool() -> nn.MaxPool2d:
    """Return darknet's [maxpool] with size=2 and stride=2, for grids of an even height and width."""
    return nn.MaxPool2d(2, 2)


def reorg(x: Tensor, stride: int = REORG_STRIDE) -> Tensor:
    """Fold a grid's s x s neighbourhoods into channels, in the order of darknet's [reorg].

    Not a space-to-depth of the input: darknet reads the same memory as if it had s^2 times fewer channels of
    an s times larger height and width, and folds the s x s neighbourhoods of that. The passthrough weights of
    a published YOLOv2 are only right in this order, in which an output cell mixes values of different
    channels and places.

    Args:
        x: [B, C, H, W]; C is a multiple of s^2, H and W are multiples of s.
        stride: s.

    Returns:
        [B, C * s^2, H / s, W / s].
    """
    batch, channels, height, width = x.shape
    fewer = channels // stride**2
    # [fewer, H * s, W * s], whose rows and columns are each split into (place in the grid of H x W, offset
    # below s).
    split = x.reshape(batch, fewer, height, stride, width, stride)
    # Output channels count row offsets, then column offsets, then the fewer channels; as many bytes are then
    # cut anew into a grid of H / s x W / s.
    folded = split.permute(0, 3, 5, 1, 2, 4)
    return folded.reshape(batch, channels * stride**2, height // stride, width // stride)


def scale_pictures(pictures: Tensor, stride: int) -> Tensor:
    """Turn RGB pictures of values 0 to 255 into the 0 to 1 that darknet's networks expect.

    Raises:
        ValueError: the pictures are not [B, 3, H, W] with H and W multiples of `stride` (unchecked while
            exporting, where the sizes are symbols).
    """
    if not torch.compiler.is_compiling():
        shape = tuple(pictures.shape)
        if len(shape) != PICTURE_DIMENSIONS or shape[1] != 3 or shape[2] % stride or shape[3] % stride:
            raise ValueError(f"pictures must be [B, 3, H, W], H and W multiples of {stride}, not {list(shape)}")
    return pictures / LARGEST_VALUE


def darknet_convolutions(network: nn.Module) -> Iterator[ConvolutionBatchNormLeaky | LinearConvolution]:
    """Yield a network's convolutions in the order of its cfg, which is also that of a darknet weights file.

    The networks here register their layers in that order. A convolution with batch normalisation comes as one
    `ConvolutionBatchNormLeaky`, one without (the last) as a `LinearConvolution`.
    """
    if isinstance(network, ConvolutionBatchNormLeaky | LinearConvolution):
        yield network
    else:
        for child in network.children():
            yield from darknet_convolutions(child)

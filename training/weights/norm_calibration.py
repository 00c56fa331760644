"""Statistics for batch norms whose weights come from a file in which they were folded."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.networks.parts.layers import BATCH_NORM_EPSILON, ConvolutionBatchNormLeaky, DarknetBatchNorm
from training.networks.yolov2_efficientnet import NormalisedConvolution


@torch.no_grad()
def calibrate_norms(detector: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give batch norms that were folded the statistics of what their convolutions make of pictures.

    In evaluation mode the detector stays the same function. In training mode, where a norm takes the statistics of its
    batch, it becomes nearly the same function, which it is not while the norms have none of their own.

    Args:
        detector: in any mode; it is left in evaluation mode.
        batches: RGB pictures [B, 3, S, S], 0 to 255.
    """
    moments = {norm: (_Moments(), convolution) for convolution, norm in _pairs(detector)}
    hooks = [convolution.register_forward_hook(moment) for moment, convolution in moments.values()]
    detector.eval()
    if not moments:
        return
    try:
        for pictures in batches:
            detector(pictures)
    finally:
        for hook in hooks:
            hook.remove()
    for norm, (moment, _) in moments.items():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, variance = moment.mean(), moment.variance()
        scale = norm.weight / _divisor(norm, norm.running_var)
        norm.bias.add_((mean - norm.running_mean) * scale)
        norm.weight.copy_(scale * _divisor(norm, variance))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _pairs(detector: nn.Module) -> list[tuple[nn.Module, nn.BatchNorm2d]]:
    """Return the convolutions of a detector that have a norm, each with its norm."""
    found: list[tuple[nn.Module, nn.BatchNorm2d]] = []
    for module in detector.modules():
        if isinstance(module, NormalisedConvolution) and isinstance(module[1], nn.BatchNorm2d):
            found.append((module[0], module[1]))
        elif isinstance(module, ConvolutionBatchNormLeaky) and isinstance(module.normalisation, nn.BatchNorm2d):
            found.append((module.convolution, module.normalisation))
    return found


def _divisor(norm: nn.BatchNorm2d, variance: Tensor) -> Tensor:
    """Return what a norm in evaluation mode divides by."""
    if isinstance(norm, DarknetBatchNorm):
        return variance.sqrt() + BATCH_NORM_EPSILON
    return torch.sqrt(variance + norm.eps)


class _Moments:
    """Sums over everything a convolution gave, by channel, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = self.squares = torch.zeros(1, dtype=torch.float64)

    def __call__(self, _: nn.Module, __: object, output: Tensor) -> None:
        """Add an output [B, C, H, W]; a forward hook."""
        values = output.double()
        self.count += values.numel() // values.shape[1]
        self.sum = self.sum + values.sum((0, 2, 3))
        self.squares = self.squares + values.square().sum((0, 2, 3))

    def mean(self) -> Tensor:
        return self.sum / self.count

    def variance(self) -> Tensor:
        return (self.squares / self.count - self.mean().square()).clamp(min=0)

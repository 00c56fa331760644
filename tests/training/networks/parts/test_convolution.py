"""TensorFlow's padding: its rule is total = (ceil(side / stride) - 1) * stride + kernel - side, the odd pixel last."""

import math

import pytest
import torch
from torch.nn import functional

from training.networks.parts.convolution import convolve


@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2)])
def test_a_convolution_sees_what_tensorflows_would(kernel: int, stride: int, groups: int) -> None:
    x, weight, bias = torch.rand(1, 6, 8, 12), torch.rand(6, 6 // groups, kernel, kernel), torch.rand(6)

    found = convolve(x, weight, bias, stride=stride, groups=groups)

    edges = []
    for side in (12, 8):
        total = (math.ceil(side / stride) - 1) * stride + kernel - side
        edges += [total // 2, total - total // 2]
    expected = functional.conv2d(functional.pad(x, edges), weight, bias, stride=stride, groups=groups)
    torch.testing.assert_close(found, expected)
    assert expected.shape == (1, 6, 8 // stride, 12 // stride)


def test_only_a_trained_depthwise_convolution_leaves_bfloat16() -> None:
    x, dense, depthwise = torch.rand(1, 6, 8, 8), torch.rand(6, 6, 3, 3), torch.rand(6, 1, 3, 3)

    with torch.autocast("cpu", torch.bfloat16):
        assert convolve(x, dense.requires_grad_()).dtype == torch.bfloat16
        assert convolve(x, depthwise, groups=6).dtype == torch.bfloat16
        assert convolve(x.bfloat16(), depthwise.requires_grad_(), groups=6).dtype == torch.float32

"""TensorFlow's padding: its rule is total = (ceil(side / stride) - 1) * stride + kernel - side, the odd pixel last."""

import math

import pytest
import torch
from torch.nn import functional as F

from training.networks.padding import pad_like_tensorflow


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_sees_what_tensorflows_would(kernel: int, stride: int) -> None:
    if kernel < stride:
        pytest.skip("no network here has a kernel smaller than its stride")
    x, weight = torch.rand(1, 1, 8, 12), torch.rand(1, 1, kernel, kernel)
    padded, padding = pad_like_tensorflow(x, kernel, stride)

    edges = []
    for side in (12, 8):
        total = (math.ceil(side / stride) - 1) * stride + kernel - side
        edges += [total // 2, total - total // 2]
    expected = F.conv2d(F.pad(x, edges), weight, stride=stride)
    torch.testing.assert_close(F.conv2d(padded, weight, stride=stride, padding=padding), expected)
    assert expected.shape == (1, 1, 8 // stride, 12 // stride)

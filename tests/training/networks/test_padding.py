"""TensorFlow's padding: its rule is total = (ceil(side / stride) - 1) * stride + kernel - side, the odd pixel last."""

import math

import pytest
import torch
from torch.nn import functional

from training.networks.padding import pad_like_tensorflow


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2)])
def test_a_convolution_sees_what_tensorflows_would(kernel: int, stride: int) -> None:
    x, weight = torch.rand(1, 1, 8, 12), torch.rand(1, 1, kernel, kernel)

    padded, padding = pad_like_tensorflow(x, kernel, stride)

    edges = []
    for side in (12, 8):
        total = (math.ceil(side / stride) - 1) * stride + kernel - side
        edges += [total // 2, total - total // 2]
    expected = functional.conv2d(functional.pad(x, edges), weight, stride=stride)
    torch.testing.assert_close(functional.conv2d(padded, weight, stride=stride, padding=padding), expected)
    assert expected.shape == (1, 1, 8 // stride, 12 // stride)

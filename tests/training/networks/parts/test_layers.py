"""darknet's conventions, against loops and against numbers darknet itself gave."""

import pytest
import torch
from torch import Tensor, nn

from training.networks.parts.layers import (
    ConvolutionBatchNormLeaky,
    DarknetBatchNorm,
    LinearConvolution,
    darknet_convolutions,
    maxpool,
    reorg,
    scale_pictures,
)


def reorg_by_loop(x: Tensor, stride: int) -> Tensor:
    """Place by place: the input's memory is fewer channels of a grid `stride` times larger each way."""
    batch, channels, height, width = x.shape
    fewer = channels // stride**2
    folded = torch.empty(batch, channels * height * width, dtype=x.dtype)
    memory = x.reshape(batch, -1)
    place = 0
    for channel in range(channels):
        offset_down, offset_right = divmod(channel // fewer, stride)
        for row in range(height):
            for column in range(width):
                large_row = (channel % fewer) * height * stride + row * stride + offset_down
                folded[:, place] = memory[:, large_row * width * stride + column * stride + offset_right]
                place += 1
    return folded.reshape(batch, channels * stride**2, height // stride, width // stride)


@pytest.mark.parametrize(
    ("shape", "stride"),
    [((1, 4, 2, 2), 2), ((2, 8, 6, 4), 2), ((1, 64, 26, 26), 2), ((3, 9, 3, 6), 3)],
    ids=["smallest", "not square", "yolov2-voc", "stride 3"],
)
def test_reorg_equals_the_loop(shape: tuple[int, int, int, int], stride: int) -> None:
    x = torch.arange(torch.Size(shape).numel()).reshape(shape)

    assert torch.equal(reorg(x, stride), reorg_by_loop(x, stride))


def test_reorg_mixes_channels_as_darknet_does() -> None:
    x = torch.arange(16).reshape(1, 4, 2, 2)

    # darknet's own output for these 16 numbers.
    assert reorg(x).flatten().tolist() == [0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15]
    assert not torch.equal(reorg(x), nn.functional.pixel_unshuffle(x, 2))


def test_reorg_loses_no_value_and_passes_gradients() -> None:
    x = torch.randn(2, 8, 4, 6, requires_grad=True)
    folded = reorg(x)

    assert folded.shape == (2, 32, 2, 3)
    assert torch.equal(folded.flatten().sort().values, x.flatten().sort().values)
    weighted = folded * torch.arange(folded.numel()).reshape(folded.shape)
    (gradient,) = torch.autograd.grad(weighted.sum(), x)
    assert gradient.flatten().sort().values.tolist() == list(range(x.numel()))


@pytest.mark.parametrize(
    ("variance", "darknet"), [(0.0, 3000.0), (1e-12, 1500.0), (1e-8, 29.70297), (1e-4, 0.29997), (1.0, 0.003)]
)
def test_rolling_statistics_normalise_as_darknet_does(variance: float, darknet: float) -> None:
    normalisation = DarknetBatchNorm(1).eval()
    normalisation.running_var.fill_(variance)

    # What darknet printed for the value .003 of mean 0 with each variance.
    assert normalisation(torch.full((1, 1, 1, 1), 0.003)).item() == pytest.approx(darknet, rel=2e-6)


def test_rolling_statistics_scale_and_shift_each_channel() -> None:
    normalisation = DarknetBatchNorm(3).eval()
    mean, variance = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1e-10, 0.3, 40.0])
    normalisation.running_mean.copy_(mean)
    normalisation.running_var.copy_(variance)
    weight, bias = torch.tensor([1e-5, -2.0, 3.0]), torch.tensor([0.1, 0.2, 0.3])
    with torch.no_grad():
        normalisation.weight.copy_(weight)
        normalisation.bias.copy_(bias)
    x = torch.randn(2, 3, 4, 5)

    expected = (x.movedim(1, -1) - mean) / (variance.sqrt() + 1e-6) * weight + bias
    torch.testing.assert_close(normalisation(x), expected.movedim(-1, 1), rtol=1e-5, atol=1e-5)


def test_a_batch_is_normalised_by_its_own_statistics_and_remembered() -> None:
    normalisation = DarknetBatchNorm(2)
    x = torch.randn(4, 2, 3, 3) * torch.tensor([0.01, 5.0])[:, None, None] + 7

    y = normalisation(x).movedim(1, 0).flatten(1)

    torch.testing.assert_close(y.mean(1), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.var(1, correction=0), torch.ones(2), atol=1e-4, rtol=0)
    own = x.movedim(1, 0).flatten(1)
    torch.testing.assert_close(normalisation.running_mean, 0.01 * own.mean(1))
    torch.testing.assert_close(normalisation.running_var, 0.99 + 0.01 * own.var(1))


def test_training_and_evaluation_agree_where_the_statistics_do() -> None:
    normalisation = DarknetBatchNorm(1)
    x = torch.randn(8, 1, 16, 16) * 1e-4  # a variance of 1e-8, where torch's default epsilon would win
    trained = normalisation(x)
    normalisation.running_mean.copy_(x.mean())
    normalisation.running_var.copy_(x.var(correction=0))

    torch.testing.assert_close(normalisation.eval()(x), trained, rtol=0.011, atol=1e-6)


def test_a_convolution_normalises_and_leaks() -> None:
    block = ConvolutionBatchNormLeaky(1, 1, 3).eval()
    with torch.no_grad():
        block.convolution.weight.fill_(1)
    x = torch.zeros(1, 1, 3, 3)
    x[0, 0, 0, 0], x[0, 0, 2, 2] = 2, -3

    # Sums over 3 x 3 neighbourhoods padded with zeros; what is negative is divided by ten.
    expected = torch.tensor([[2.0, 2.0, 0.0], [2.0, -0.1, -0.3], [0.0, -0.3, -0.3]])
    torch.testing.assert_close(block(x)[0, 0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_convolution_trains(training: bool) -> None:
    block = ConvolutionBatchNormLeaky(2, 3, 3).double().train(training)
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(block, (x,))
    block(x).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in block.parameters())


def test_weights_start_with_a_variance_of_two_over_the_fan_in() -> None:
    torch.manual_seed(0)
    weight = ConvolutionBatchNormLeaky(64, 128, 3).convolution.weight

    assert weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)


def test_a_maxpool_halves_the_grid() -> None:
    assert maxpool()(torch.arange(16.0).reshape(1, 1, 4, 4)).tolist() == [[[[5, 7], [13, 15]]]]


def test_pictures_are_divided_by_255() -> None:
    assert torch.equal(scale_pictures(torch.full((1, 3, 32, 64), 51.0), 32), torch.full((1, 3, 32, 64), 0.2))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 3, 32, 40), (1, 3, 33, 32), (1, 32, 32, 3)])
def test_pictures_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \[B, 3, H, W\], H and W multiples of 32, not \["):
        scale_pictures(torch.zeros(shape), 32)


def test_convolutions_come_in_the_order_they_were_registered() -> None:
    with torch.device("meta"):
        first, second, last = (
            ConvolutionBatchNormLeaky(3, 4, 1),
            ConvolutionBatchNormLeaky(4, 4, 3),
            LinearConvolution(4, 5),
        )
        network = nn.Sequential(first, nn.Sequential(maxpool(), second), last)

    assert list(darknet_convolutions(network)) == [first, second, last]

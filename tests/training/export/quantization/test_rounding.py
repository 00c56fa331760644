import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from training.export.quantization.rounding import Convolution, Moments, input_moments, on_grid

RANDOM = np.random.default_rng(0)
SHAPES = [((8, 3, 3, 3), 1), ((6, 2, 1, 1), 3), ((4, 1, 5, 5), 4)]


def layer(shape: tuple[int, ...], groups: int, stride: int = 2) -> Convolution:
    above, left, below, right = 0, 1, 1, 2
    node = helper.make_node(
        "Conv", ["x", "weight"], ["y"], group=groups, strides=[stride, stride], pads=[above, left, below, right]
    )
    return Convolution.of(node, shape)


@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_moments_are_those_of_what_a_convolution_multiplies(shape: tuple[int, ...], groups: int) -> None:
    channels = shape[1] * groups
    source = RANDOM.normal(1, 2, (1, channels, 17, 14)).astype(np.float32)
    weight = RANDOM.normal(size=shape).astype(np.float32)
    padded = torch.nn.functional.pad(torch.from_numpy(source), (1, 2, 0, 1))
    outputs = torch.nn.functional.conv2d(padded, torch.from_numpy(weight), stride=2, groups=groups)
    expected = outputs.square().mean(dim=(0, 2, 3)).numpy()

    moments = layer(shape, groups).moments(source, np.random.default_rng(0))

    assert moments.shape == (groups, layer(shape, groups).inputs, layer(shape, groups).inputs)
    rows = weight.reshape(groups, shape[0] // groups, -1)
    assert np.einsum("goi,gij,goj->go", rows, moments, rows).reshape(-1) == pytest.approx(expected, rel=1e-4)


def test_a_convolution_without_attributes_is_read_with_their_defaults() -> None:
    node = helper.make_node("Conv", ["x", "weight"], ["y"])
    assert Convolution.of(node, (4, 2, 1, 1)) == ("x", "weight", (4, 2, 1, 1), 1, (1, 1), (0, 0, 0, 0))


def test_all_that_read_a_weight_count_and_large_ones_are_left_out() -> None:
    node = onnx.helper.make_node("Conv", ["x", "weight"], ["y"])
    first = Convolution.of(node, (4, 2, 1, 1))
    second = first._replace(source="z")
    large = first._replace(weight="large", shape=(4, 1024, 3, 3))
    values = {"x": np.full((1, 2, 4, 4), 2, np.float32), "z": np.full((1, 2, 2, 2), 3, np.float32)}

    found = input_moments([first, second, large], [values, values])

    assert found.keys() == {"weight"}
    assert found["weight"] == pytest.approx(np.full((1, 2, 2), 2 * (4 + 9)))


def correlated(groups: int, inputs: int) -> tuple[Moments, np.ndarray]:
    """Inputs [G, N, K] above zero that share most of what they are, and their moments."""
    shared = RANDOM.normal(1, 1, (groups, 500, 3))
    mixed = np.maximum(
        shared @ RANDOM.normal(size=(groups, 3, inputs)) + RANDOM.normal(size=(groups, 500, inputs)) / 5, 0
    )
    return mixed.swapaxes(1, 2) @ mixed / 500, mixed


@pytest.mark.parametrize(("shape", "groups"), [((16, 40, 1, 1), 1), ((16, 10, 2, 2), 2), ((8, 1, 5, 5), 8)])
def test_outputs_are_nearer_than_with_weights_rounded_to_the_nearest(shape: tuple[int, ...], groups: int) -> None:
    weights = RANDOM.normal(size=shape).astype(np.float32)
    moments, inputs = correlated(groups, weights[0].size)

    values, scales = on_grid(weights, moments, 15)

    column = scales.reshape(-1, 1, 1, 1)
    steps = values / column
    assert steps == pytest.approx(np.rint(steps), abs=1e-3)
    assert np.abs(steps).max() == pytest.approx(15)

    def off(rounded: np.ndarray) -> float:
        rows = (rounded - weights).reshape(groups, shape[0] // groups, -1)
        return float(np.square(inputs @ rows.swapaxes(1, 2)).mean())

    assert off(values) < off(np.rint(weights / column) * column) / 3


def test_inputs_that_have_nothing_to_do_with_each_other_round_to_the_nearest() -> None:
    weights = RANDOM.normal(size=(5, 12, 1, 1)).astype(np.float32)
    values, scales = on_grid(weights, np.diag(RANDOM.uniform(1, 2, 12))[None], 64)
    column = scales.reshape(-1, 1, 1, 1)
    assert values == pytest.approx(np.rint(weights / column) * column)


def test_channels_of_zeros_and_inputs_never_seen() -> None:
    weights = RANDOM.normal(size=(3, 4, 1, 1)).astype(np.float32)
    weights[1] = 0
    values, scales = on_grid(weights, np.zeros((1, 4, 4)), 64)
    assert scales[1] == scales.max() > 0
    assert not values[1].any()
    assert on_grid(np.zeros_like(weights), np.zeros((1, 4, 4)), 64).scales == pytest.approx(np.full(3, 1 / 64))
    assert values == pytest.approx(weights, abs=float(scales[[0, 2]].max()) / 2 + 1e-6)

"""Darknet-19 layer by layer, and what it answers."""

import pytest
import torch

from tests.training.networks.darknet_cfg import needs_darknet, read_layers, run_layers, table
from training.networks.backbones.darknet19 import Darknet19

# Paper, table "Darknet-19", at 224 px: channels in and out, kernel, side of the output.
LAYERS = """
3 32 3 224
32 32 2 112
32 64 3 112
64 64 2 56
64 128 3 56
128 64 1 56
64 128 3 56
128 128 2 28
128 256 3 28
256 128 1 28
128 256 3 28
256 256 2 14
256 512 3 14
512 256 1 14
256 512 3 14
512 256 1 14
256 512 3 14
512 512 2 7
512 1024 3 7
1024 512 1 7
512 1024 3 7
1024 512 1 7
512 1024 3 7
1024 1000 1 7 linear
"""


def on_meta() -> Darknet19:
    with torch.device("meta"):
        return Darknet19()


def test_its_layers_are_those_of_the_paper() -> None:
    assert run_layers(on_meta(), 224) == table(LAYERS)


@needs_darknet
@pytest.mark.parametrize("size", [224, 448])
def test_its_layers_are_those_of_the_cfg(size: int) -> None:
    assert run_layers(on_meta(), size) == read_layers("darknet19", size)


@pytest.mark.parametrize("size", [32, 224, 256, 448])
def test_it_gives_one_logit_a_class_at_every_size(size: int) -> None:
    assert on_meta()(torch.empty(2, 3, size, size, device="meta")).shape == (2, 1000)


def test_features_have_strides_16_and_32() -> None:
    fine, coarse = on_meta().backbone(torch.empty(1, 3, 64, 96, device="meta"))

    assert fine.shape == (1, 512, 4, 6)
    assert coarse.shape == (1, 1024, 2, 3)


def test_a_size_that_is_no_multiple_of_32_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        on_meta()(torch.empty(1, 3, 225, 225, device="meta"))


def test_it_averages_the_cells_and_trains_every_parameter() -> None:
    torch.manual_seed(0)
    network = Darknet19(classes=7)
    cells = []
    network.class_layer.register_forward_hook(lambda _module, _inputs, output: cells.append(output))

    logits = network(torch.rand(2, 3, 64, 64) * 255)

    assert logits.shape == (2, 7)
    torch.testing.assert_close(logits, cells[0].flatten(2).mean(2))
    logits.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())

"""Frozen stages stay as they are, their statistics included."""

import pytest
import torch
from torch import nn

from training.command_line import ConfigurationError
from training.runs.freezing import freeze, set_training_mode


def network() -> nn.Sequential:
    stage = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    return nn.Sequential(stage, nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout())


def test_a_frozen_stage() -> None:
    made = network()
    freeze(made, ["0"])
    set_training_mode(made, fixed_statistics=False)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    made(torch.rand(2, 3, 4, 4)).sum().backward()

    assert [name for name, value in made.named_parameters() if value.grad is None] == [
        "0.0.weight",
        "0.0.bias",
        "0.1.weight",
        "0.1.bias",
    ]
    changed = {name for name, value in made.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"2.running_mean", "2.running_var", "2.num_batches_tracked"}


def test_fixed_statistics() -> None:
    made = network()
    set_training_mode(made, fixed_statistics=True)
    modes = {name: module.training for name, module in made.named_modules()}
    assert {name for name, training in modes.items() if not training} == {"0.1", "2"}


@pytest.mark.parametrize("stage", ["backbone", "", "0.2"])
def test_what_is_no_stage(stage: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"there is no '{stage}' in this network; its parts are 0, 1, 2, 3"):
        freeze(network(), [stage])


def test_nothing_left() -> None:
    with pytest.raises(ConfigurationError, match="with 0, 1, 2 frozen, nothing is left to train"):
        freeze(network(), ["0", "1", "2"])

"""Optimisers and schedules."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from training.runs.optimization import OptimizerConfiguration, build_optimizer, learning_rate_factor


def test_half_a_cosine() -> None:
    settings = OptimizerConfiguration(steps=1000, warmup=100, final_fraction=0.1)
    rates = np.array([learning_rate_factor(step, settings) for step in range(1001)])
    assert rates[0] == pytest.approx(0.01)
    assert rates[49] == pytest.approx(0.5, rel=0.01)
    assert rates[:95].argmax() == 94  # rises
    assert (np.diff(rates[100:]) < 0).all()  # falls
    assert rates[500] == pytest.approx(0.55)  # half a cosine's middle, between 1 and .1
    assert rates[1000] == pytest.approx(0.1)
    assert learning_rate_factor(5000, settings) == pytest.approx(0.1)


def factors(**values: Any) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    settings = OptimizerConfiguration(**{"steps": 160, "warmup": 1, **values})
    return np.array([learning_rate_factor(step, settings) for step in range(161)])


def test_the_papers_schedule_of_classifiers() -> None:
    """Polynomial decay with a power of 4 (paper section 3)."""
    np.testing.assert_allclose(factors(schedule="polynomial"), (1 - np.arange(161) / 160) ** 4)


def test_the_papers_schedule_of_detectors() -> None:
    """Divided by 10 at epochs 60 and 90 of 160 (paper section 3)."""
    rates = factors(schedule="steps")
    np.testing.assert_allclose(rates, np.repeat([1, 0.1, 0.01], [60, 30, 71]))


def test_darknets_burn_in() -> None:
    rates = factors(schedule="steps", drops=(), warmup=20, warmup_power=4)
    np.testing.assert_allclose(rates[:20], (np.arange(1, 21) / 20) ** 4)
    np.testing.assert_allclose(rates[20:], 1)


def test_epochs_become_steps() -> None:
    assert OptimizerConfiguration(epochs=2.5, batch=4).for_pictures(10).steps == 7
    assert OptimizerConfiguration(steps=9, batch=4).for_pictures(10).steps == 9


@pytest.mark.parametrize(("method", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_methods(method: str, kind: type[torch.optim.Optimizer]) -> None:
    settings = OptimizerConfiguration.model_validate({"method": method, "momentum": 0.7, "weight_decay": 0.2})
    layer = nn.Linear(2, 2)
    found = build_optimizer(layer.named_parameters(), lambda name: {"weight": 1.0, "bias": 2.0}[name], settings)
    assert type(found) is kind
    assert [(group["peak"], group["weight_decay"], group["params"]) for group in found.param_groups] == [
        (1.0, 0.2, [layer.weight]),
        (2.0, 0.0, [layer.bias]),
    ]
    assert all(group.get("momentum", 0.7) == 0.7 for group in found.param_groups)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"batch": 2, "accumulate": 3}, "a batch of 2 pictures cannot be computed in 3 parts"),
        ({"drops": [0.5, 1.0]}, "drops are parts of the run"),
        ({"method": "adam"}, "method"),
        ({"drop_factor": 1}, "drop_factor"),
    ],
)
def test_what_cannot_be(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        OptimizerConfiguration.model_validate(wrong)

"""The parts of the training loop: learning rates, the average of the weights, the log, batches in parts."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.tiny_run import NEVER, SETTINGS, STEPS, make_trainer, noise
from training.command_line import ConfigurationError
from training.data.mixture import Mixture
from training.runs import trainer as module
from training.runs.optimization import learning_rate_factor
from training.runs.processes import Processes
from training.weights.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    return noise(tmp_path_factory.mktemp("pictures"))


def test_groups_of_parameters(mixture: Mixture, tmp_path: Path) -> None:
    run = make_trainer(mixture, tmp_path)
    names = {value: name for name, value in run.network.named_parameters()}
    groups = {
        (group["peak"], group["weight_decay"]): {names[value] for value in group["params"]}
        for group in run.optimizer.param_groups
    }
    assert groups == {
        (0.01, 5e-4): {"first.weight"},
        (0.01, 0.0): {"first.bias"},
        (0.05, 5e-4): {"last.weight"},
        (0.05, 0.0): {"norm.weight", "norm.bias", "last.bias"},
    }


def test_the_learning_rate_of_each_step(mixture: Mixture, tmp_path: Path) -> None:
    rates = []

    def check(_: int, loss: Tensor) -> Tensor:
        rates.append([group["lr"] / group["peak"] for group in run.optimizer.param_groups])
        return loss

    run = make_trainer(mixture, tmp_path, check=check)
    run.run()
    expected = [learning_rate_factor(step, SETTINGS) for step in range(STEPS)]
    np.testing.assert_allclose(rates, np.repeat(expected, 4).reshape(STEPS, 4))


def test_the_average_of_the_weights(mixture: Mixture, tmp_path: Path) -> None:
    run = make_trainer(mixture, tmp_path)
    expected = {name: value.clone().double() for name, value in run.network.state_dict().items()}

    real = run._update_average
    steps = iter(range(STEPS))

    def update() -> None:
        step = next(steps)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in run.network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
        real()

    run._update_average = update  # type: ignore[method-assign]
    run.run()
    for name, value in run.average.items():
        if value.is_floating_point():
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert run.average["norm.num_batches_tracked"] == STEPS
    assert not torch.equal(run.average["last.weight"], run.network.state_dict()["last.weight"])


def test_a_batch_in_parts_gives_the_gradients_of_the_whole(mixture: Mixture, tmp_path: Path) -> None:
    """With norms that keep their statistics; others take each part's own."""
    ends = []
    for accumulate in (1, 2, 3):
        settings = SETTINGS.model_copy(update={"accumulate": accumulate, "fixed_statistics": True, "method": "sgd"})
        run = make_trainer(mixture, tmp_path / str(accumulate), settings=settings)
        assert run.run()
        ends.append(run.network.state_dict())
        assert ends[-1]["norm.num_batches_tracked"] == 0
    for end in ends[1:]:
        for name, value in ends[0].items():
            torch.testing.assert_close(end[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "loop"),
    [({"method": "sgd", "schedule": "polynomial", "accumulate": 2}, {}), ({}, {"precision": "float16"})],
)
def test_a_run_under_other_options_is_resumed_exactly(
    mixture: Mixture, tmp_path: Path, changes: dict[str, Any], loop: dict[str, Any]
) -> None:
    settings, how = SETTINGS.model_copy(update=changes), NEVER.model_copy(update=loop)
    whole = make_trainer(mixture, tmp_path / "whole", settings=settings, loop=how)
    assert whole.run()

    asked: list[int] = []

    def stop(step: int, loss: Tensor) -> Tensor:
        if step == 4 and not asked:  # a second signal would act as usual
            asked.append(step)
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    folder = tmp_path / "stopped"
    assert not make_trainer(mixture, folder, settings=settings, loop=how, check=stop).run()
    rest = make_trainer(mixture, folder, settings=settings, loop=how)
    rest.resume()
    assert rest.run()
    found, expected = load_checkpoint(folder), load_checkpoint(tmp_path / "whole")
    assert found.state == expected.state
    for name, value in expected.tensors.items():
        assert torch.equal(found.tensors[name], value), name


def test_gradients_that_overflow_float16_halve_the_scale_and_change_nothing_else(
    mixture: Mixture, tmp_path: Path
) -> None:
    """A float16 run starts with such steps; it is over only where the unscaled gradients overflow."""
    run = make_trainer(mixture, tmp_path / "a", loop=NEVER.model_copy(update={"precision": "float16"}))
    before = {name: value.clone() for name, value in run.network.named_parameters()}
    scale = run.scaler.get_scale()

    def overflow(step: int, loss: Tensor) -> Tensor:
        return (loss - loss.detach()).sqrt() + 1 if step == 0 else loss  # d sqrt(0) is infinite

    settings = SETTINGS.model_copy(update={"steps": 1})
    how = NEVER.model_copy(update={"precision": "float16"})
    run = make_trainer(mixture, tmp_path / "a", settings=settings, loop=how, check=overflow)
    assert run.run()
    assert run.scaler.get_scale() == scale / 2
    for name, value in run.network.named_parameters():
        assert torch.equal(value, before[name])

    run = make_trainer(mixture, tmp_path / "b", settings=settings, loop=how, check=overflow)
    run.scaler.load_state_dict({**run.scaler.state_dict(), "scale": 0.5})
    with pytest.raises(FloatingPointError, match=r"the norm of the gradient is (nan|inf) at step 0"):
        run.run()


def test_more_parts_than_pictures(mixture: Mixture, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="3 pictures cannot be shared by 4 processes in 1 parts"):
        make_trainer(mixture, tmp_path, processes=Processes(rank=1, count=4))


def test_the_log(mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_EVERY", 4)
    losses = []

    def check(_: int, loss: Tensor) -> Tensor:
        losses.append(loss.item())
        return loss

    run = make_trainer(mixture, tmp_path, check=check)
    run.run()
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [4, 8, 12]
    assert [entry["loss"] for entry in entries] == pytest.approx(np.reshape(losses, (3, 4)).mean(1), abs=1e-5)
    peak = run.optimizer.param_groups[0]["peak"]
    assert [entry["learning_rate"] for entry in entries] == pytest.approx(
        [peak * learning_rate_factor(entry["step"] - 1, SETTINGS) for entry in entries]
    )
    assert all(entry["error"] == entry["loss"] and entry["pictures_per_second"] > 0 for entry in entries)

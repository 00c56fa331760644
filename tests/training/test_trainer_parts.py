"""The parts of the training loop: learning rates, the average of the weights, the log."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.tiny_run import SETTINGS, STEPS, make_trainer, noise
from training import trainer as module
from training.data.batches import Mixture
from training.trainer import Meter, OptimizerConfiguration, learning_rate_factor


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


def test_the_learning_rate_schedule() -> None:
    settings = OptimizerConfiguration(steps=1000, warmup=100, final_fraction=0.1)
    rates = np.array([learning_rate_factor(step, settings) for step in range(1001)])
    assert rates[0] == pytest.approx(0.01)
    assert rates[49] == pytest.approx(0.5, rel=0.01)
    assert rates[:95].argmax() == 94  # rises
    assert (np.diff(rates[100:]) < 0).all()  # falls
    assert rates[500] == pytest.approx(0.55)  # half a cosine's middle, between 1 and .1
    assert rates[1000] == pytest.approx(0.1)
    assert learning_rate_factor(5000, settings) == pytest.approx(0.1)


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


def test_the_log(mixture: Mixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_EVERY", 4)
    losses = []

    def check(_: int, loss: Tensor) -> Tensor:
        losses.append(loss.item())
        return loss

    make_trainer(mixture, tmp_path, check=check).run()
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [4, 8, 12]
    assert [entry["loss"] for entry in entries] == pytest.approx(np.reshape(losses, (3, 4)).mean(1), abs=1e-5)
    assert all(entry["error"] == entry["loss"] and entry["pictures_per_second"] > 0 for entry in entries)


def test_the_meter_empties_itself() -> None:
    meter = Meter()
    meter.add({"a": torch.tensor(1.0)}, 2)
    meter.add({"a": torch.tensor(4.0)}, 2)
    assert meter.means()["a"] == 2.5
    meter.add({"a": torch.tensor(7.0)}, 2)
    assert meter.means()["a"] == 7

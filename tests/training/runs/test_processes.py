"""Several processes share every batch and get what one process gets of the whole; none is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.training.distributed_run import alone
from tests.training.tiny_data import tiny_run, write_data
from tests.training.tiny_run import STEPS, Network, noise
from training.commands.train import train_detector
from training.runs.processes import Processes, join_processes
from training.weights.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[3]
PROCESSES = 2


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Start two processes on loopback, as a user does; the port is any free one."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(PROCESSES), "-m"),
        *map(str, arguments),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)


def run(*arguments: object) -> int:
    return torchrun("tests.training.distributed_run", *arguments).returncode


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    noise(folder)
    return folder


def network_of(folder: Path) -> dict[str, torch.Tensor]:
    tensors, state = load_checkpoint(folder)
    assert state["step"] == STEPS
    return tensors


@pytest.mark.slow
def test_two_processes_learn_what_one_does_and_survive_a_stop_and_a_kill(pictures: Path, tmp_path: Path) -> None:
    """Norms keep their statistics here: with a batch's own, each process normalises by its share, not by the batch."""
    whole, broken, single = tmp_path / "whole", tmp_path / "broken", tmp_path / "single"
    assert run(pictures, whole) == 0
    alone(pictures, single)
    expected = network_of(single)
    start = Network().state_dict()
    for name, value in network_of(whole).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)
        if name == "network.last.weight":
            assert not torch.equal(value, start["last.weight"])

    assert run(pictures, broken, "stop", 1, 3) != 0
    assert load_checkpoint(broken).state["step"] == 4  # both stopped after the step in which one was asked to
    assert run(pictures, broken, "resume", "die", 1, 7) != 0
    assert 4 <= load_checkpoint(broken).state["step"] <= 8
    assert run(pictures, broken, "resume") == 0
    found = network_of(broken)
    for name, value in network_of(whole).items():
        assert torch.equal(found[name], value), name


@pytest.mark.slow
def test_the_first_process_scores_and_its_patience_ends_them_all(pictures: Path, tmp_path: Path) -> None:
    assert run(pictures, tmp_path, "patience") == 0
    assert load_checkpoint(tmp_path).state["step"] == 6
    assert (tmp_path / "scored").read_text() == "0\n0\n"


@pytest.mark.slow
def test_the_command_under_torchrun(tmp_path: Path) -> None:
    """One step of a real detector: the weights, and so the gradients, are those of one process with the whole batch."""
    write_data(tmp_path)
    changes = {
        "network": {"name": "yolov2-tiny", "anchors": [[0.4, 0.4], [1.2, 1.5]]},
        "loss": {},
        "optimizer": {
            "method": "sgd",
            "schedule": "steps",
            "steps": 1,
            "batch": 4,
            "warmup": 1,
            "learning_rate": 0.1,
            "fixed_statistics": True,
            "largest_gradient": 1e9,
            "average_decay": 0,
        },
        "loop": {"workers": 0, "precision": "float32", "device": "cpu", "tensorboard": False},
    }
    single, shared = (tiny_run(tmp_path, tmp_path / name, **changes) for name in ("single", "shared"))
    assert train_detector(single)
    file = tmp_path / "shared.yaml"
    file.write_text(yaml.safe_dump(shared.model_dump(mode="json")))
    result = torchrun("training", "train", "--configuration", file)
    assert result.returncode == 0, result.stderr
    found, expected = (load_checkpoint(tmp_path / name) for name in ("shared", "single"))
    assert found.state == expected.state
    moved = 0.0
    for name, value in expected.tensors.items():
        if name.endswith("momentum_buffer"):  # after one step that is the gradient, with the decay of the weights
            largest = float(value.abs().max())
            torch.testing.assert_close(found.tensors[name], value, rtol=1e-3, atol=1e-5 * max(largest, 1e-3))
            moved = max(moved, largest)
    assert moved > 0.01


def test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_processes("cpu") as processes:
        assert processes == Processes(0, 1, 0)
        assert processes.first
        assert [processes.any(asked, torch.device("cpu")) for asked in (True, False)] == [True, False]
        assert processes.mean(torch.tensor([3.0])).tolist() == [3]
        network = Network()
        assert processes.share_gradients(network, torch.device("cpu")) is network


def test_others_do_not_write() -> None:
    assert [Processes(rank, 3, rank).first for rank in range(3)] == [True, False, False]

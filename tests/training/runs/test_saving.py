"""Checkpoints are written beside the training, whole, in order, and what goes wrong is told."""

import errno
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from training.runs.saving import Saver
from training.weights.checkpoint import load_checkpoint


class Gate:
    """Writes when it is let; remembers what it wrote."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.wrote: list[float] = []

    def __call__(self, _: Path, tensors: dict[str, Tensor], __: dict[str, Any]) -> None:
        assert self.open.wait(10)
        self.wrote.append(tensors["x"].item())


def full(_: Path, __: dict[str, Tensor], ___: dict[str, Any]) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_step_does_not_wait_and_does_not_change_what_is_written() -> None:
    gate, value = Gate(), torch.tensor(1.0)
    with Saver(gate) as saver:
        saver.save(Path(), {"x": value}, {})
        value += 1  # the next step
        assert gate.wrote == []
        gate.open.set()
        saver.save(Path(), {"x": value}, {})  # waits for the first
        assert gate.wrote[0] == 1
    assert gate.wrote == [1, 2]


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    with Saver() as saver:
        saver.save(tmp_path, {"a": shared[:2], "b": shared.view(2, 2).t()}, {"step": 3})
    found = load_checkpoint(tmp_path)
    assert found.tensors["b"].tolist() == [[0, 2], [1, 3]]
    assert found.state["step"] == 3


def test_a_full_disk_is_told_at_the_next_save_or_at_the_end() -> None:
    with pytest.raises(OSError, match="No space left"), Saver(full) as saver:
        saver.save(Path(), {}, {})
    saver = Saver(full)
    saver.save(Path(), {}, {})
    with pytest.raises(OSError, match="No space left"):
        saver.save(Path(), {}, {})
    with saver:
        pass  # it was told


def test_another_error_is_not_hidden_by_it(caplog: pytest.LogCaptureFixture) -> None:
    def diverging() -> None:
        with Saver(full) as saver:
            saver.save(Path(), {}, {})
            raise FloatingPointError("the loss is nan")

    with pytest.raises(FloatingPointError):
        diverging()
    assert "the last checkpoint could not be written: [Errno 28] No space left" in caplog.text

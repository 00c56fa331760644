"""Checkpoints: what is written comes back, and an interrupted write leaves what was there."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.weights import checkpoint
from training.weights.checkpoint import (
    InvalidCheckpointError,
    has_checkpoint,
    load_checkpoint,
    load_optimizer,
    load_state,
    optimizer_tensors,
    save_checkpoint,
    write_whole,
)

STATE: dict[str, Any] = {"step": 12, "trained": [0, 3, 5], "tree": "sha256:12"}


def tensors(value: float = 1.0) -> dict[str, Tensor]:
    return {"network.weight": torch.full((2, 3), value), "count": torch.tensor(7)}


def assert_is(folder: Path, value: float, state: dict[str, Any]) -> None:
    found = load_checkpoint(folder)
    assert found.state == state
    assert found.tensors.keys() == tensors().keys()
    assert torch.equal(found.tensors["network.weight"], tensors(value)["network.weight"])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    laid_out = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    saved = {"a": laid_out, "b": torch.randn(3).to(torch.bfloat16), "c": torch.tensor(3), "d": torch.randn(4, 4)[:, 1]}
    saved["e"] = nn.Parameter(torch.randn(2))
    assert not has_checkpoint(folder)
    save_checkpoint(folder, saved, STATE)
    assert has_checkpoint(folder)
    found = load_checkpoint(folder)
    assert found.state == load_state(folder) == STATE
    assert found.tensors.keys() == saved.keys()
    for name, value in saved.items():
        assert found.tensors[name].dtype == value.dtype
        assert torch.equal(found.tensors[name], value)


def test_only_the_last_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".step-00000001.safetensors.tmp").touch()  # of a process that was killed
    (tmp_path / "log.jsonl").touch()
    for step in (3, 20, 20, 100):
        save_checkpoint(tmp_path, tensors(step), {"step": step})
        assert_is(tmp_path, step, {"step": step})
        assert {path.name for path in tmp_path.iterdir()} == {
            "checkpoint.json",
            "log.jsonl",
            f"step-{step:08d}.safetensors",
        }


@pytest.mark.parametrize("moment", range(6))
def test_an_interrupted_save_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Stopped before, or in the middle of, any step that touches the folder."""
    save_checkpoint(tmp_path, tensors(1), STATE)
    done = 0

    def interrupted(action: Any) -> Any:
        def act(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            if done == moment:
                raise KeyboardInterrupt
            done += 1
            return action(*arguments, **options)

        return act

    def half_saved(*arguments: Any, **options: Any) -> None:
        save_file(*arguments, **options)
        path = arguments[1]
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        interrupted(lambda: path.write_bytes(whole))()

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", half_saved)
        patched.setattr(os, "fsync", interrupted(os.fsync))
        patched.setattr(Path, "replace", interrupted(Path.replace))
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, tensors(2), {**STATE, "step": 13})
    if moment < 5:
        assert_is(tmp_path, 1, STATE)
    else:  # the new one is complete: it only was not yet made sure that its name is on the disk
        assert_is(tmp_path, 2, {**STATE, "step": 13})
    assert not list(tmp_path.glob(".*"))
    save_checkpoint(tmp_path, tensors(3), {**STATE, "step": 14})
    assert_is(tmp_path, 3, {**STATE, "step": 14})
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, tensors(1), STATE)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", fail)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(tmp_path, tensors(2), {**STATE, "step": 13})
    assert_is(tmp_path, 1, STATE)


def test_the_same_step_saved_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tensors are the same, so either file fits either state."""
    save_checkpoint(tmp_path, tensors(1), STATE)
    real = Path.replace

    def fail(path: Path, target: Path) -> Path:
        if target.name == "checkpoint.json":
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, tensors(1), STATE)
    assert_is(tmp_path, 1, STATE)


def index_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "checkpoint.json").read_text())
    return content


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "another version"),
        ({"format": None}, "another version"),
        ({"tensors": None}, "damaged"),
        ({"tensors": 3}, "damaged"),
        ({"tensors": "../elsewhere.safetensors"}, "damaged"),
        ({"tensors": "step-00000099.safetensors"}, r"step-00000099\.safetensors: .*cannot be read"),
        ({"step": None}, "damaged"),
        ({"step": "12"}, "damaged"),
    ],
)
def test_a_wrong_index(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    save_checkpoint(tmp_path, tensors(), STATE)
    changed = {key: value for key, value in {**index_of(tmp_path), **change}.items() if value is not None}
    (tmp_path / "checkpoint.json").write_text(json.dumps(changed))
    with pytest.raises(InvalidCheckpointError, match=reason) as caught:
        load_checkpoint(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b'{"format": 1}', b"{}"])
def test_an_index_that_is_none(tmp_path: Path, content: bytes) -> None:
    save_checkpoint(tmp_path, tensors(), STATE)
    (tmp_path / "checkpoint.json").write_bytes(content)
    for load in (load_checkpoint, load_state):
        with pytest.raises(InvalidCheckpointError, match=r"checkpoint\.json: "):
            load(tmp_path)
    assert has_checkpoint(tmp_path)


def test_no_checkpoint(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InvalidCheckpointError, match=r"there is no checkpoint to be read \(No such file"):
            load_checkpoint(folder)


@pytest.mark.parametrize("length", [0, 1, 8, 40, -1])
def test_damaged_tensors(tmp_path: Path, length: int) -> None:
    save_checkpoint(tmp_path, tensors(), STATE)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InvalidCheckpointError, match=r"step-00000012\.safetensors: .*cannot be read"):
        load_checkpoint(tmp_path)
    assert load_state(tmp_path) == STATE


def test_missing_tensors(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, tensors(), STATE)
    (path,) = tmp_path.glob("*.safetensors")
    path.unlink()
    with pytest.raises(InvalidCheckpointError, match=r"step-00000012\.safetensors: .*cannot be read"):
        load_checkpoint(tmp_path)


def test_a_text_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text.json"
    write_whole(path, "first ä")
    assert path.read_text(encoding="utf-8") == "first ä"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_whole(path, "second")
    assert path.read_text(encoding="utf-8") == "first ä"
    assert [one.name for one in tmp_path.iterdir()] == ["text.json"]


def test_an_optimizer_goes_on_where_it_was(tmp_path: Path) -> None:
    def network() -> nn.Linear:
        torch.manual_seed(4)
        return nn.Linear(3, 2)

    def step(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        module(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()

    whole = network()
    optimizer = torch.optim.AdamW(whole.parameters(), lr=0.1)
    step(whole, optimizer)
    names: dict[Tensor, str] = {value: name for name, value in whole.named_parameters()}
    state = {name: value.clone() for name, value in whole.state_dict().items()}
    save_checkpoint(tmp_path, optimizer_tensors(optimizer, names), STATE)
    step(whole, optimizer)

    resumed = network()
    resumed.load_state_dict(state)
    optimizer = torch.optim.AdamW(resumed.parameters(), lr=0.1)
    stored = load_checkpoint(tmp_path).tensors
    assert "optimizer.weight.exp_avg" in stored
    load_optimizer(optimizer, resumed.named_parameters(), stored)
    step(resumed, optimizer)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))

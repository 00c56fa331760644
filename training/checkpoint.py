"""Checkpoints: tensors in safetensors, the rest in JSON; written beside each other, each renamed into place.

Nothing is pickled: a checkpoint from a stranger can be loaded without running anything of theirs.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FORMAT: Final = 1
NETWORK_PREFIX: Final = "network."
AVERAGE_PREFIX: Final = "average."


class InvalidCheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says which file and why."""


class Checkpoint(NamedTuple):
    """Everything a run needs to go on: tensors by name and a JSON-able state."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(folder: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a checkpoint into a folder; one that was there is replaced whole or not at all.

    The tensors' file carries the step in its name and the JSON file names it, so that the rename of the JSON file
    is the one moment at which the new checkpoint becomes the checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"step-{state['step']:08d}.safetensors"
    temporary = folder / f".{name}.tmp"
    save_file({key: value.detach().contiguous().cpu() for key, value in tensors.items()}, temporary)
    temporary.replace(folder / name)
    index = folder / ".checkpoint.json.tmp"
    with index.open("w") as file:
        json.dump({"format": FORMAT, "tensors": name, **state}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    index.replace(folder / "checkpoint.json")
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink()


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read the checkpoint of a folder.

    Raises:
        InvalidCheckpointError: there is none, or it is damaged.
    """
    index = folder / "checkpoint.json"
    try:
        state = json.loads(index.read_text())
        if state.pop("format") != FORMAT:
            raise InvalidCheckpointError(f"{index}: written by another version of this program")
        tensors = load_file(folder / state.pop("tensors"))
    except (OSError, KeyError, json.JSONDecodeError, SafetensorError) as error:
        raise InvalidCheckpointError(f"{index}: no usable checkpoint ({error})") from error
    return Checkpoint(tensors, state)


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: dict[Tensor, str]) -> dict[str, Tensor]:
    """Name an optimizer's state: "optimizer.PARAMETER.KEY"."""
    return {
        f"optimizer.{names[parameter]}.{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Iterable[tuple[str, nn.Parameter]],
    tensors: dict[str, Tensor],
) -> None:
    """Put the state `optimizer_tensors` named back into an optimizer."""
    for name, parameter in parameters:
        prefix = f"optimizer.{name}."
        state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if state:
            optimizer.state[parameter] = state

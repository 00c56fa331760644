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

from model.wordtree import WordTree
from training.files import replacing

FORMAT: Final = 1
INDEX: Final = "checkpoint.json"
NETWORK_PREFIX: Final = "network."
AVERAGE_PREFIX: Final = "average."


class InvalidCheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says which file and why."""


class FolderInUseError(ValueError):
    """A folder that holds another run's checkpoint; the message says what to do."""


class Checkpoint(NamedTuple):
    """Everything a run needs to go on: tensors by name and a JSON-able state."""

    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(folder: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a checkpoint into a folder; one that was there is replaced whole or not at all.

    The tensors' file carries the step in its name and the JSON file names it, so that the rename of the JSON file
    is the one moment at which the new checkpoint becomes the checkpoint.

    Args:
        folder: made where there is none.
        tensors: by name; no two may share memory.
        state: JSON-able; its "step" is the number of steps taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"step-{state['step']:08d}.safetensors"
    with replacing(folder / name) as temporary:
        save_file({key: value.detach().contiguous().cpu() for key, value in tensors.items()}, temporary)
        _flush(temporary)
    write_whole(folder / INDEX, json.dumps({"format": FORMAT, "tensors": name, **state}, indent=1))
    if os.name == "posix":
        _flush(folder)  # the renames are on the disk before the old tensors go
    for old in (*folder.glob("step-*.safetensors"), *folder.glob(".step-*.safetensors.tmp")):
        if old.name != name:
            old.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a text file that is, at any moment and after a power failure, either the old or the new one."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        _flush(temporary)


def _flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def has_checkpoint(folder: Path) -> bool:
    """Return whether a folder holds a checkpoint, usable or not."""
    return (folder / INDEX).exists()


def load_state(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's state alone, which takes no time.

    Raises:
        InvalidCheckpointError: there is no checkpoint, or its JSON file is damaged.
    """
    return _read_index(folder)[1]


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read the checkpoint of a folder.

    Raises:
        InvalidCheckpointError: there is none, or it is damaged.
    """
    name, state = _read_index(folder)
    try:
        return Checkpoint(load_file(folder / name), state)
    except (OSError, ValueError, SafetensorError) as error:
        raise InvalidCheckpointError(f"{folder / name}: the checkpoint's tensors cannot be read ({error})") from error


def _read_index(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the name of the tensors' file, and the state."""
    index = folder / INDEX
    try:
        content = json.loads(index.read_bytes())
    except OSError as error:
        raise InvalidCheckpointError(f"{index}: there is no checkpoint to be read ({error.strerror})") from error
    except ValueError as error:
        raise InvalidCheckpointError(f"{index}: damaged, not JSON ({error})") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise InvalidCheckpointError(f"{index}: not a checkpoint, or one of another version of this program")
    name, step = content.pop("tensors", None), content.get("step")
    if not isinstance(name, str) or Path(name).name != name or not isinstance(step, int):
        raise InvalidCheckpointError(f"{index}: damaged, it does not name its tensors and its step")
    return name, content


def trained_nodes(folder: Path, state: dict[str, Any], tree: WordTree) -> list[int]:
    """Return the nodes of the tree that a run's checkpoint has class rows for, ascending.

    Raises:
        InvalidCheckpointError: it belongs to another tree, or names none.
    """
    if state.get("tree") != tree.digest or "trained" not in state:
        raise InvalidCheckpointError(f"{folder}: trained on another WordTree, {state.get('tree')}")
    nodes: list[int] = state["trained"]
    return nodes


def tensors_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


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
            optimizer.state[parameter] = {
                # AdamW counts its steps on the CPU wherever the parameter is
                key: value if value.ndim == 0 else value.to(parameter.device)
                for key, value in state.items()
            }

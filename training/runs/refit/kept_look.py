"""What a refit saw of its pictures, kept in a file: the next refit learns from it with other settings, in a minute."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from training.command_line import ConfigurationError
from training.data.box_examples import BoxExamples
from training.data.class_examples import ClassExamples
from training.files import replacing

OF: Final = "look_of"
OBJECTS: Final = "objects."
BOXES: Final = "boxes."


class Look(NamedTuple):
    """What was seen of labelled objects, and of boxes the detector is unsure of; None where nobody judges these."""

    objects: ClassExamples
    boxes: BoxExamples | None


def keep_look(path: Path, look: Look, of: Mapping[str, Any]) -> None:
    """Write a file.

    Args:
        path: of it; its folder is made.
        look: what was seen.
        of: what it depends on, by a word for each, JSON-able.
    """
    tensors = {f"{OBJECTS}{name}": value for name, value in look.objects._asdict().items()}
    if look.boxes is not None:
        tensors |= {f"{BOXES}{name}": value for name, value in look.boxes._asdict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary, {OF: json.dumps(of)})


def kept_look(path: Path, of: Mapping[str, Any]) -> Look | None:
    """Read a file; None where there is none.

    Args:
        path: of it.
        of: what it has to depend on.

    Raises:
        ConfigurationError: it is no such file, or one of something else.
    """
    if not path.exists():
        return None
    wanted = json.loads(json.dumps(of))
    try:
        with safe_open(path, "pt") as file:
            found = json.loads((file.metadata() or {})[OF])
            other = [word for word, value in wanted.items() if found.get(word) != value]
            if not other:
                return _assembled({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 - no mapping
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ConfigurationError(f"look: {path} is not what a refit saw ({error})") from error
    raise ConfigurationError(
        f"look: {path} is of something else: {', '.join(other)} differ. Name another file, or delete this one"
    )


def _assembled(tensors: Mapping[str, Tensor]) -> Look:
    objects = ClassExamples(*(tensors[f"{OBJECTS}{name}"] for name in ClassExamples._fields))
    if not any(name.startswith(BOXES) for name in tensors):
        return Look(objects, None)
    return Look(objects, BoxExamples(*(tensors[f"{BOXES}{name}"] for name in BoxExamples._fields)))

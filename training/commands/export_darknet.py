"""From a checkpoint of a darknet network back to the two files that darknet reads."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from training.commands.import_darknet import STATE
from training.darknet.cfg import parse_cfg
from training.darknet.network import build_network
from training.darknet.weights import Header, write_weights
from training.weights.checkpoint import (
    AVERAGE_PREFIX,
    NETWORK_PREFIX,
    InvalidCheckpointError,
    load_checkpoint,
    tensors_of,
    write_whole,
)


class ExportDarknetConfiguration(BaseModel):
    """Write a checkpoint's network as darknet's cfg and weights files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Path = Field(description="folder with the checkpoint of a darknet network, such as import-darknet writes")
    output: Path = Field(description="the weights file to write (.weights); the cfg (.cfg) goes beside it")


class ExportDarknetReport(NamedTuple):
    """The two files that were written."""

    cfg: Path
    weights: Path


class _Origin(BaseModel):
    """What a checkpoint says of the files it came from."""

    cfg: str
    header: Header


def export_darknet(configuration: ExportDarknetConfiguration) -> ExportDarknetReport:
    """Write the two files. Of a run that keeps an average of its weights that is what is written.

    Raises:
        InvalidCheckpointError: there is no checkpoint, or not one of a darknet network.
    """
    tensors, state = load_checkpoint(configuration.run)
    if STATE not in state:
        raise InvalidCheckpointError(
            f"{configuration.run}: holds a network that darknet has no layers for; only networks of a cfg can be "
            f"turned back"
        )
    try:
        origin = TypeAdapter(_Origin).validate_python(state[STATE])
        network = build_network(parse_cfg(origin.cfg))
        network.load_state_dict(tensors_of(tensors, AVERAGE_PREFIX) or tensors_of(tensors, NETWORK_PREFIX))
    except (ValueError, RuntimeError, ValidationError) as error:
        raise InvalidCheckpointError(f"{configuration.run}: its weights are not those of the cfg in it") from error
    weights = configuration.output
    cfg = weights.with_suffix(".cfg")
    if cfg == weights:
        raise InvalidCheckpointError(f"{weights}: is the weights file, so it cannot end in .cfg")
    weights.parent.mkdir(parents=True, exist_ok=True)
    write_weights(network, weights, origin.header)
    write_whole(cfg, origin.cfg)
    return ExportDarknetReport(cfg, weights)

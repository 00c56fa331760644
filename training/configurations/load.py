"""A run's folder read back: its configuration, its tree, and its detector with the moving average of its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from model.wordtree import WordTree
from training.command_line import read_record
from training.configurations.mixing import Data
from training.configurations.train import TrainConfiguration
from training.networks.backbones.efficientnet_lite import backbone_name
from training.networks.catalogue import build_detector
from training.networks.parts.detector import Detector
from training.weights.checkpoint import (
    AVERAGE_PREFIX,
    InvalidCheckpointError,
    load_checkpoint,
    tensors_of,
    trained_nodes,
)
from training.weights.run_folder import CONFIGURATION, load_tree
from training.weights.starting_point import FLAT, of_todays_shape


class TrainedDetector(NamedTuple):
    """What a `train` run's folder holds.

    configuration: what was asked for last. tensors, state: of the checkpoint. tree: of the labels. trained: its nodes
    that have a class row, in the order of the rows. detector: with the averaged weights, ready to predict.
    """

    configuration: TrainConfiguration
    tensors: dict[str, Tensor]
    state: dict[str, Any]
    tree: WordTree
    trained: list[int]
    detector: Detector


def load_detector(folder: Path) -> TrainedDetector:
    """Read a `train` run's folder, whether the run is finished or not.

    Raises:
        ConfigurationError: its configuration cannot be read.
        InvalidCheckpointError: it has no usable checkpoint.
    """
    tensors, state = load_checkpoint(folder)
    configuration = read_record(TrainConfiguration, folder / CONFIGURATION)
    tree = load_tree(folder, state)
    trained = trained_nodes(folder, state, tree)
    detector = averaged_detector(configuration, tensors, len(trained))
    return TrainedDetector(configuration, tensors, state, tree, trained, detector)


def averaged_detector(run: TrainConfiguration, tensors: dict[str, Tensor], classes: int) -> Detector:
    """Build a run's detector with the moving average of its weights, ready to predict."""
    state = tensors_of(tensors, AVERAGE_PREFIX)
    state |= of_todays_shape(state)
    flat = state.get(FLAT)
    design = run.network.design() if flat is None else run.network.design(len(flat), backbone_name(state))
    detector = build_detector(design, classes)
    try:
        detector.load_state_dict(state)
    except RuntimeError as error:
        raise InvalidCheckpointError(
            f"{run.output}: the checkpoint's weights are not those of the network in its configuration.json"
        ) from error
    return detector.eval()


def check_nodes(folder: Path, state: Mapping[str, Any], data: Data, tree: WordTree) -> None:
    """Check that a checkpoint has a class row for the nodes of the data, and for no others.

    Raises:
        InvalidCheckpointError: it has not.
    """
    if state.get("tree") != tree.digest:
        raise InvalidCheckpointError(
            f"{folder}: the checkpoint belongs to another WordTree ({state.get('tree')}) than this program's "
            f"({tree.digest})"
        )
    before, now = set(state.get("trained", ())), set(data.trained.tolist())
    if before != now:
        changes = [
            f"{len(nodes)} {change}, such as {tree.wnids[min(nodes)]} ({tree.names[min(nodes)]})"
            for change, nodes in (("are new", now - before), ("are gone", before - now))
            if nodes
        ]
        raise InvalidCheckpointError(
            f"{folder}: the checkpoint was trained on other nodes than the sets have: {'; '.join(changes)}. "
            f"Resume with the same sets, or start afresh in another output folder"
        )

"""What a classifier can start from: another classifier's run, darknet's weights, or published ones."""

from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from training.command_line import ConfigurationError
from training.darknet.starting_weights import read_darknet_start
from training.data.formats.imagenet import imagenet_wnids
from training.networks.backbones.classifier import Classifier
from training.networks.backbones.efficientnet_lite import load_imagenet_classifier
from training.networks.catalogue import BACKBONE, Design, DetectorName
from training.networks.classifiers import LITES, ClassifierName
from training.weights.checkpoint import AVERAGE_PREFIX, InvalidCheckpointError, load_checkpoint, tensors_of
from training.weights.classifier_state import ClassifierState
from training.weights.run_folder import load_tree
from training.weights.starting_point import common_rows

IMAGENET: Final = Path("imagenet")
"""Stands for the published weights of an EfficientNet-Lite."""
ROWS: Final = ("class_layer.weight", "class_layer.bias")
DARKNETS: Final[dict[ClassifierName, DetectorName]] = {"darknet19": "yolov2", "tiny": "yolov2-tiny"}
"""Which of darknet's detectors has the classifier's backbone."""


def start_classifier(network: Classifier, name: ClassifierName, start: Path, wnids: tuple[str, ...]) -> None:
    """Take over weights: the backbone's, and the class rows of the synsets that both know.

    Args:
        network: what starts.
        name: of its architecture.
        start: a run's folder, a weights file of darknet, or `IMAGENET`.
        wnids: the synset of each column of the network.

    Raises:
        ConfigurationError: there are no such weights of this network.
        InvalidCheckpointError: the run is another network's, or cannot be read.
        InvalidWeightsError: the weights file is of another network.
    """
    weights, known = _read(name, start)
    state = network.state_dict()
    backbone = {key: value for key, value in weights.items() if key.startswith(BACKBONE)}
    pairs = common_rows(wnids, known)
    here, there = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).unbind(1)
    taken = {}
    if pairs:
        for key in ROWS:
            taken[key] = state[key].clone()
            taken[key][here] = weights[key][there].view(-1, *state[key].shape[1:])
    try:
        network.load_state_dict(state | backbone | taken)
    except RuntimeError as error:
        raise InvalidCheckpointError(f"{start}: holds the weights of another network than {name}") from error


def _read(name: ClassifierName, start: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return weights by name, and the synset of each class row; () where these are unknown."""
    if start == IMAGENET and not start.exists():
        if name not in LITES:
            raise ConfigurationError(
                f"network.start: only lite and lite2 have published weights in a package, not {name}"
            )
        found = load_imagenet_classifier(name=LITES[name])
        backbone = {f"{BACKBONE}{key}": value for key, value in found.backbone.state_dict().items()}
        return {**backbone, ROWS[0]: found.rows, ROWS[1]: found.biases}, imagenet_wnids()
    if start.is_file():
        if name not in DARKNETS:
            raise ConfigurationError(f"network.start: darknet has no {name}; {start} cannot be its weights")
        return read_darknet_start(start, Design(DARKNETS[name], ((1.0, 1.0),)))
    tensors, state = load_checkpoint(start)
    if ClassifierState.read(start, state).network != name:
        raise InvalidCheckpointError(f"{start}: holds the weights of another network than {name}")
    tree = load_tree(start, state)
    return tensors_of(tensors, AVERAGE_PREFIX), tuple(tree.wnids[node] for node in state["trained"])

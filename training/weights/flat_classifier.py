"""The flat classifier that a detector is built on: the published ImageNet one, or a run of `pretrain`."""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from training.command_line import ConfigurationError
from training.data.formats.imagenet import imagenet_wnids
from training.networks.backbones.efficientnet_lite import EfficientNetLite, LiteName, load_imagenet_classifier
from training.networks.classifiers import LITES
from training.weights.checkpoint import AVERAGE_PREFIX, has_checkpoint, load_checkpoint, load_state, tensors_of
from training.weights.classifier_state import CLASSIFIER, ClassifierState
from training.weights.run_folder import load_tree


class FlatClassifier(NamedTuple):
    """An EfficientNet-Lite as a classifier: its rows [classes, 1280], biases [classes], and each class's synset."""

    backbone: EfficientNetLite
    rows: Tensor
    biases: Tensor
    wnids: tuple[str, ...]


def is_classifier_run(path: Path | None) -> bool:
    """Return whether a path is the output folder of a `pretrain` run."""
    return path is not None and has_checkpoint(path) and CLASSIFIER in load_state(path)


def load_flat_classifier(start: Path | None, backbone: LiteName = "lite0") -> FlatClassifier:
    """Load the classifier of a run, or the ImageNet classifier where `start` is no classifier's run.

    Args:
        start: what a detector starts from.
        backbone: which ImageNet classifier.

    Raises:
        ConfigurationError: the run's network or softmax is of another kind.
        InvalidCheckpointError: its checkpoint cannot be read.
    """
    if start is None or not is_classifier_run(start):
        return FlatClassifier(*load_imagenet_classifier(name=backbone), imagenet_wnids())
    tensors, state = load_checkpoint(start)
    classifier = ClassifierState.read(start, state)
    lite = LITES.get(classifier.network)
    if lite is None or classifier.softmax != "flat":
        raise ConfigurationError(
            f"network.start: {start} holds {classifier.network} with a {classifier.softmax} softmax; a detector is "
            f"built on lite or lite2 with a flat softmax"
        )
    weights, tree = tensors_of(tensors, AVERAGE_PREFIX), load_tree(start, state)
    network = EfficientNetLite(lite)
    network.load_state_dict(tensors_of(weights, "backbone."))
    return FlatClassifier(
        network,
        weights["class_layer.weight"],
        weights["class_layer.bias"],
        tuple(tree.wnids[node] for node in state["trained"]),
    )

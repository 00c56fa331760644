"""The classifiers that can be trained, by name."""

from typing import Final, Literal

from training.networks.backbones.classifier import Classifier
from training.networks.backbones.darknet19 import Darknet19
from training.networks.backbones.efficientnet_lite import EfficientNetLite, LiteName
from training.networks.backbones.lite_classifier import LiteClassifier
from training.networks.tiny import TinyClassifier

ClassifierName = Literal["darknet19", "tiny", "lite", "lite2"]

LITES: Final[dict[ClassifierName, LiteName]] = {"lite": "lite0", "lite2": "lite2"}
"""The EfficientNets that a detector is built on, by the name of the classifier on each."""


def build_classifier(name: ClassifierName, classes: int) -> Classifier:
    """Build a classifier with random weights."""
    match name:
        case "darknet19":
            return Darknet19(classes)
        case "tiny":
            return TinyClassifier(classes)
        case "lite" | "lite2":
            return LiteClassifier(classes, EfficientNetLite(LITES[name]))

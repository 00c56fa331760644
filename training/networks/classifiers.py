"""The classifiers that can be trained, by name."""

from training.classifier_state import LITES, ClassifierName
from training.networks.classifier import Classifier
from training.networks.darknet19 import Darknet19
from training.networks.efficientnet_lite import EfficientNetLite
from training.networks.lite_classifier import LiteClassifier
from training.networks.tiny import TinyClassifier


def build_classifier(name: ClassifierName, classes: int) -> Classifier:
    """Build a classifier with random weights."""
    match name:
        case "darknet19":
            return Darknet19(classes)
        case "tiny":
            return TinyClassifier(classes)
        case "lite" | "lite2":
            return LiteClassifier(classes, EfficientNetLite(LITES[name]))

"""Detectors as the service wants them: with a class logit for every node of their tree."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from training.networks.parts.detector import BoxIndex, Detector, Prediction


class UnderRoot(Detector):
    """A detector of flat classes that answers with the tree of `Labels.two_level_tree`.

    The root is a group of one, so its probability is 1 whatever its logit; it gets 0. The softmax over its children is
    then the softmax over the classes.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__(detector.anchors, detector.classes + 1, detector.stride, detector.multiple)
        self.detector = detector

    def forward(self, pictures: Tensor) -> Prediction:
        """Predict as the flat detector does."""
        prediction: Prediction = self.detector(pictures)
        return prediction

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        """Return the logits [K, 1 + classes] of the K boxes of `index`, the root's first."""
        return F.pad(self.detector.class_logits(features, index), (1, 0))

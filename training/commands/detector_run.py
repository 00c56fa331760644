"""A detector in training: the network, what it starts from, its loss, its teacher and its learning rates."""

from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from model.wordtree import WordTree
from training.command_line import ConfigurationError
from training.configurations.detect import DetectConfiguration, NetworkConfiguration
from training.configurations.mixing import labelled_in_group
from training.data.batches import Batch, Mixture, Stream, load_batches
from training.losses.distillation import classifier_opinion
from training.losses.hierarchical import HierarchicalSoftmax
from training.losses.region import RegionLoss
from training.networks.catalogue import BACKBONE, build_detector, build_lite
from training.networks.parts.detector import Detector
from training.networks.parts.region_head import RegionDetector
from training.networks.yolov2_lite import YOLOv2Lite
from training.runs.freezing import freeze
from training.runs.optimization import OptimizerConfiguration
from training.runs.trainer import StepLoss
from training.weights.checkpoint import InvalidCheckpointError
from training.weights.flat_classifier import FlatClassifier
from training.weights.norm_calibration import calibrate_norms
from training.weights.starting_point import read_starting_point, start_lite, start_region_detector

LITE: Final = "yolov2-lite"
LITE_PRETRAINED: Final = "tail."
LITE_CLASS_LAYER: Final = "class_layer."
CALIBRATION_BATCHES: Final = 8  # that norms take their first statistics from


def peak_rate(name: str, configuration: DetectConfiguration) -> float:
    """Return the peak learning rate of a parameter.

    Pre-trained are yolov2-lite's copy of the classifier's last blocks, and the others' backbone where they start from
    something. yolov2-lite's class layer moves least: it starts as a classifier's, and its 1,664 inputs add up, so that
    a step changes a logit by some 800 times the rate.
    """
    settings: OptimizerConfiguration = configuration.optimizer
    if configuration.network.name == LITE:
        if name.startswith(LITE_CLASS_LAYER):
            return settings.class_learning_rate
        return settings.pretrained_learning_rate if name.startswith(LITE_PRETRAINED) else settings.learning_rate
    pretrained = name.startswith(BACKBONE) and configuration.network.start is not None
    return settings.pretrained_learning_rate if pretrained else settings.learning_rate


def lite_around(
    configuration: NetworkConfiguration, classifier: FlatClassifier, tree: WordTree, mixture: Mixture
) -> YOLOv2Lite:
    """Return yolov2-lite around a classifier, its class layer for the trained tree."""
    detector = build_lite(configuration.design(len(classifier.wnids)), len(tree), classifier.backbone)
    detector.class_layer.start_from(classifier.rows, classifier.biases, classifier.wnids, tree)
    detector.class_layer.trust(torch.from_numpy(labelled_in_group(mixture, tree)))
    return detector


class DetectorRun:
    """A detector, its loss and its teacher.

    Args:
        configuration: of the run.
        tree: of the trained nodes.
        mixture: the pictures.
        classifier: what yolov2-lite is built on; None for the other networks.
        device: what computes.

    Raises:
        ConfigurationError: what is asked for does not go together.
    """

    def __init__(
        self,
        configuration: DetectConfiguration,
        tree: WordTree,
        mixture: Mixture,
        classifier: FlatClassifier | None,
        device: torch.device,
    ) -> None:
        self.configuration, self.tree, self.mixture, self.device = configuration, tree, mixture, device
        network = configuration.network
        if configuration.loss.distillation_scale and classifier is None:
            raise ConfigurationError(
                f"loss.distillation_scale: only {LITE} has a classifier inside to learn from; leave it 0"
            )
        self.detector: Detector = (
            build_detector(network.design(), len(tree))
            if classifier is None
            else lite_around(network, classifier, tree, mixture)
        )
        freeze(self.detector, network.freeze)
        configuration.loop.place(self.detector, device)
        self.softmax = HierarchicalSoftmax(tree)
        self.region_loss = RegionLoss(self.softmax, configuration.loss).to(device)

    def loss(self, batch: Batch, seen: int) -> StepLoss:
        """Return the loss of a batch."""
        pictures = batch.pictures.permute(0, 3, 1, 2).float()
        teacher: Tensor | None = None
        with self.configuration.loop.autocast(pictures.device):
            prediction = self.detector(pictures)
        if isinstance(self.detector, YOLOv2Lite) and self.configuration.loss.distillation_scale:
            teacher = classifier_opinion(self.detector.class_layer, prediction.features[0], batch.truths)
        parts = self.region_loss(self.detector, prediction, batch.truths, seen, teacher)
        return StepLoss(parts.total(), parts._asdict())

    def check_anchors(self) -> None:
        """Check that the anchors of what a detector resumes or starts from are those of the configuration.

        Raises:
            InvalidCheckpointError: they are not.
        """
        found = self.detector.anchors.cpu()
        asked = torch.tensor(self.configuration.network.design().anchors)
        if not torch.equal(found, asked):
            raise InvalidCheckpointError(
                f"{self.configuration.output}: the weights were trained with the anchors {found.tolist()}, not with "
                f"{asked.tolist()}; go on with their own"
            )

    def start_from(self, path: Path) -> None:
        """Start from the weights of another run, of a model file, of a classifier, or of darknet.

        Raises:
            InvalidCheckpointError: there are none, or they are another network's or for other anchors.
            InvalidWeightsError: a darknet file is of another network.
        """
        settings = self.configuration
        start = read_starting_point(path, settings.network.design())
        if isinstance(self.detector, RegionDetector):
            start_region_detector(self.detector, start, self.tree.wnids)
        elif isinstance(self.detector, YOLOv2Lite) and start.classifier is None:  # else it is built on that already
            start_lite(self.detector, start, self.tree.wnids)
        self.check_anchors()
        if start.folded:
            self._calibrate()

    def _calibrate(self) -> None:
        settings = self.configuration
        stream = Stream(
            len(self.mixture), settings.optimizer.batch, settings.sizes, settings.seed, 0, CALIBRATION_BATCHES
        )
        batches = load_batches(self.mixture, stream, settings.loop.workers)
        calibrate_norms(
            self.detector, (batch.pictures.to(self.device).permute(0, 3, 1, 2).float() for batch in batches)
        )

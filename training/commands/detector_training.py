"""A detector in training: the network, what it starts from, its loss, its teacher and its learning rates."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from model.wordtree import WordTree
from training.command_line import ConfigurationError
from training.configurations.mixing import labelled_in_group
from training.configurations.train import NetworkConfiguration, TrainConfiguration
from training.darknet.labels import known_labels
from training.data.batches import Batch, BatchSampler, load_batches
from training.data.mixture import Mixture
from training.losses.distillation import classifier_opinion
from training.losses.hierarchical import HierarchicalSoftmax
from training.losses.imitation import ImitationParts, Learner, agree, imitation_loss
from training.losses.region import RegionLoss
from training.losses.teacher import Teacher
from training.networks.backbones.nanodet import CLASSES
from training.networks.catalogue import BACKBONE, LITE, WITH_BACKBONES, build_around, build_detector
from training.networks.parts.classifier_inside import ClassifierInside
from training.networks.parts.detector import Detector, Prediction, decode_boxes
from training.networks.parts.region_head import RegionDetector
from training.networks.yolov2_lite import YOLOv2Lite
from training.runs.freezing import freeze
from training.runs.optimization import OptimizerConfiguration
from training.runs.trainer import StepLoss
from training.weights.checkpoint import InvalidCheckpointError
from training.weights.flat_classifier import FlatClassifier
from training.weights.norm_calibration import calibrate_norms
from training.weights.published_start import start_from_published
from training.weights.starting_point import read_starting_point, start_around, start_region_detector

PRETRAINED: Final = ("tail.", "trunk.", "neck.")
"""Of the names of parameters, in networks with a classifier inside: what starts from weights that were trained."""
CLASS_LAYER: Final = "class_layer."
PUBLISHED: Final = ".safetensors"
CALIBRATION_BATCHES: Final = 8  # that norms take their first statistics from


def peak_rate(name: str, configuration: TrainConfiguration) -> float:
    """Return the peak learning rate of a parameter.

    Pre-trained are yolov2-lite's trunk and neck, yolov2-efficientnet's copy of the classifier's last blocks, and the
    others' backbone where they start from something. The class layer around a classifier moves least: it starts as a
    classifier's, and its 1,664 inputs add up, so that a step changes a logit by some 800 times the rate.
    """
    settings: OptimizerConfiguration = configuration.optimizer
    if configuration.network.name in WITH_BACKBONES:
        if name.startswith(CLASS_LAYER):
            return settings.class_learning_rate
        return settings.pretrained_learning_rate if name.startswith(PRETRAINED) else settings.learning_rate
    pretrained = name.startswith(BACKBONE) and configuration.network.start is not None
    return settings.pretrained_learning_rate if pretrained else settings.learning_rate


def around(
    configuration: NetworkConfiguration, classifier: FlatClassifier, tree: WordTree, mixture: Mixture
) -> ClassifierInside:
    """Return a detector around a classifier, its class layer for the trained tree."""
    detector = build_around(configuration.design(len(classifier.wnids)), len(tree), classifier.backbone)
    detector.class_layer.start_from(classifier.rows, classifier.biases, classifier.wnids, tree)
    if isinstance(detector, YOLOv2Lite):
        detector.class_layer.know(known_labels("coco").wnids, tree)
    detector.class_layer.trust(torch.from_numpy(labelled_in_group(mixture, tree)))
    return detector


class DetectorTraining:
    """A detector, its loss and its teacher.

    Args:
        configuration: of the run.
        tree: of the trained nodes.
        mixture: the pictures.
        classifier: what yolov2-lite and yolov2-efficientnet are built on; None for the other networks.
        device: what computes.

    Raises:
        ConfigurationError: what is asked for does not go together.
    """

    def __init__(
        self,
        configuration: TrainConfiguration,
        tree: WordTree,
        mixture: Mixture,
        classifier: FlatClassifier | None,
        device: torch.device,
    ) -> None:
        self.configuration, self.tree, self.mixture, self.device = configuration, tree, mixture, device
        network = configuration.network
        if configuration.loss.distillation_scale and classifier is None:
            raise ConfigurationError(
                f"loss.distillation_scale: only {' and '.join(WITH_BACKBONES)} have a classifier inside to learn from; "
                f"leave it 0"
            )
        if network.name == LITE and not configuration.loss.iou_scale:
            raise ConfigurationError(f"loss.iou_scale: {LITE} learns boxes by their IOU alone; give it more than 0")
        self.detector: Detector = (
            build_detector(network.design(), len(tree))
            if classifier is None
            else around(network, classifier, tree, mixture)
        )
        freeze(self.detector, network.freeze)
        configuration.loop.place(self.detector, device)
        self.softmax = HierarchicalSoftmax(tree)
        self.region_loss = RegionLoss(self.softmax, configuration.loss).to(device)
        self.teacher = (
            None
            if configuration.teacher is None
            else Teacher.load(configuration.teacher, CLASSES, "cpu" if device.type == "cpu" else "auto")
        )

    def loss(self, batch: Batch, seen: int) -> StepLoss:
        """Return the loss of a batch."""
        pictures = batch.pictures.permute(0, 3, 1, 2).float()
        classifiers: Tensor | None = None
        with self.configuration.loop.autocast(pictures.device):
            predictions = self.detector.grids(pictures)
        if isinstance(self.detector, ClassifierInside) and self.configuration.loss.distillation_scale:
            classifiers = classifier_opinion(self.detector.class_layer, predictions[0].features[0], batch.targets)
        sure, taught = (None, None) if self.teacher is None else self._imitate(self.teacher, predictions, batch)
        parts = self.region_loss(self.detector, predictions, batch.targets, seen, classifiers, sure)
        if taught is None:
            return StepLoss(parts.total(), parts._asdict())
        return StepLoss(parts.total() + taught.total(), parts._asdict() | taught._asdict())

    def _imitate(
        self, teacher: Teacher, predictions: Sequence[Prediction], batch: Batch
    ) -> tuple[list[Tensor], ImitationParts]:
        """Return how sure of each grid's boxes a yolov2-lite should be, and how far it is from agreeing."""
        learner = self._learner(predictions)
        agreement = agree(learner, teacher.look(batch.pictures))
        shapes = [prediction.boxes.shape[:-1] for prediction in predictions]
        of_grids = torch.split(agreement.scores.amax(-1), [math.prod(shape[1:]) for shape in shapes], dim=1)
        scales = (self.configuration.loss.taught_kinds_scale, self.configuration.loss.taught_boxes_scale)
        sure = [each.view(shape) for each, shape in zip(of_grids, shapes, strict=True)]
        return sure, imitation_loss(learner, agreement, *scales)

    def _learner(self, predictions: Sequence[Prediction]) -> Learner:
        """Return what a yolov2-lite says, as it is compared with its teacher."""
        grids = []
        for grid, prediction in enumerate(predictions):
            kinds, sides = prediction.features[3:5]
            boxes = decode_boxes(prediction.boxes, self.detector.anchors_of(grid), self.detector.location).squeeze(1)
            count = boxes.shape[1]
            row, column = torch.meshgrid(*[torch.arange(count, device=boxes.device) + 0.5] * 2, indexing="ij")
            cells = torch.stack((column, row, torch.full_like(row, count)), dim=-1)
            own = (boxes.flatten(1, 2), kinds.flatten(1, 2), sides.flatten(1, 2), cells.flatten(0, 1))
            grids.append(Learner(*own))
        return Learner(*(torch.cat(each, dim=-2) for each in zip(*grids, strict=True)))

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
        """Start from the weights of another run, of a model file, of a classifier, of darknet, or from published ones.

        Raises:
            ConfigurationError: published weights are of another network than was asked for.
            InvalidCheckpointError: there are none, or they are another network's or for other anchors.
            InvalidWeightsError: a darknet file is of another network.
        """
        settings = self.configuration
        if path.suffix == PUBLISHED:
            if not isinstance(self.detector, YOLOv2Lite):
                raise ConfigurationError(f"network.start: {path} can only start {LITE}, not {settings.network.name}")
            start_from_published(self.detector, path)
            return
        start = read_starting_point(path, settings.network.design())
        if isinstance(self.detector, RegionDetector):
            start_region_detector(self.detector, start, self.tree.wnids)
        elif isinstance(self.detector, ClassifierInside) and start.classifier is None:  # else it is built on that
            start_around(self.detector, start, self.tree.wnids)
        self.check_anchors()
        if start.folded:
            calibrate_norms(self.detector, self._first_pictures())

    def _first_pictures(self) -> Iterator[Tensor]:
        """Yield the first batches of the run's pictures, [B, 3, S, S] on the device."""
        settings = self.configuration
        batch = settings.optimizer.batch
        stream = BatchSampler(self.mixture.items, batch, settings.sizes, settings.seed, 0, CALIBRATION_BATCHES)
        for found in load_batches(self.mixture, stream, settings.loop.workers):
            yield found.pictures.to(self.device).permute(0, 3, 1, 2).float()

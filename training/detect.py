"""Joint training of a detector on pictures with boxes and pictures with labels (paper section 4)."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.wordtree import WordTree, packaged_tree
from training.checkpoint import (
    FolderInUseError,
    InvalidCheckpointError,
    has_checkpoint,
    load_state,
    write_whole,
)
from training.configuration import DetectConfiguration
from training.data.batches import Batch, Mixture, Source, Stream, load_batches
from training.data.coco import DetectionSet
from training.data.folder import ClassifiedPicture, read_folder
from training.data.imagenet import imagenet_wnids
from training.data.read import read_detection_set
from training.losses.hierarchical import HierarchicalSoftmax
from training.losses.region import RegionLoss
from training.networks.efficientnet_lite import load_imagenet_classifier
from training.networks.yolov2_lite import YOLOv2Lite
from training.optimization import OptimizerConfiguration
from training.starting_point import calibrate_norms, read_starting_point, start_detector
from training.teacher import classifier_opinion
from training.trainer import StepLoss, Trainer

logger = logging.getLogger(__name__)

PRETRAINED_PREFIXES = ("tail.",)
CLASS_LAYER_PREFIX = "class_layer."
CALIBRATION_BATCHES = 8  # that norms take their first statistics from


class Data(NamedTuple):
    """The sets of a run, and ascending indices of the tree.

    labelled: the nodes that the sets and the pre-trained classifier have labels of. boxed: those of them with boxes.
    trained: the labelled nodes and their ancestors.
    """

    sources: list[Source]
    labelled: list[int]
    boxed: list[int]
    trained: NDArray[np.int64]


def train_detector(configuration: DetectConfiguration) -> bool:
    """Train; return whether the last step was reached (False: stopped, and can be resumed).

    The output folder then holds the checkpoint, the log and configuration.json, which is what was asked for last.

    Raises:
        FolderInUseError: a fresh start into a folder with a checkpoint.
        InvalidCheckpointError: there is nothing to resume, or it was trained on other nodes or another network.
        InvalidDatasetError: a set cannot be used; it names the file and what to do.
        FloatingPointError: training diverged; the last checkpoint stays.
    """
    folder = configuration.output
    resumed = load_state(folder) if configuration.resume else None
    if resumed is None and has_checkpoint(folder):
        raise FolderInUseError(
            f"{folder} holds a run's checkpoint already: add --resume to go on from it, or give another output folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(configuration.seed)
    if configuration.loop.threads:
        torch.set_num_threads(configuration.loop.threads)
    tree = packaged_tree()
    data = read_data(configuration, tree)
    if resumed is not None:
        check_nodes(folder, resumed, data, tree)
    subset = tree.subset(data.trained.tolist())
    mixture = Mixture(
        data.sources, trained_index(data.trained, len(tree)), configuration.augmentation, configuration.seed
    )
    logger.info("%d pictures an epoch, %d nodes with data", len(mixture), len(subset))
    run = DetectorRun(configuration, subset, mixture)
    state = {"trained": data.trained.tolist(), "labelled": data.labelled, "boxed": data.boxed, "tree": tree.digest}
    trainer = Trainer(
        run.detector,
        lambda name: peak_rate(name, configuration.optimizer),
        run.loss,
        mixture,
        configuration.sizes,
        configuration.optimizer,
        configuration.loop,
        folder,
        state,
    )
    if configuration.resume:
        trainer.resume()
        run.check_anchors()
    else:
        if configuration.network.start is not None:
            run.start_from(configuration.network.start)
        trainer.reset_average()
    write_whole(folder / "configuration.json", configuration.model_dump_json(indent=1))
    return trainer.run()


def peak_rate(name: str, settings: OptimizerConfiguration) -> float:
    """Return the peak learning rate of a parameter of yolov2-lite.

    The class layer moves least: it starts as a classifier's, and its 1,664 inputs add up, so that a step changes a
    logit by some 800 times the rate.
    """
    if name.startswith(CLASS_LAYER_PREFIX):
        return settings.class_learning_rate
    return settings.pretrained_learning_rate if name.startswith(PRETRAINED_PREFIXES) else settings.learning_rate


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


def read_data(configuration: DetectConfiguration, tree: WordTree) -> Data:
    """Read every set of a run.

    Raises:
        InvalidDatasetError: a set cannot be used; it names the file and what to do.
    """
    sources, nodes, boxed = [], {tree.index(wnid) for wnid in imagenet_wnids()}, set[int]()
    for detection in configuration.detection:
        found: DetectionSet = read_detection_set(detection.annotations, detection.pictures, tree, detection.label_map)
        sources.append(Source(found.name, found.pictures, detection.repeats, detection.negative_weight))
        nodes |= {category.node for category in found.categories}
        boxed.update(*(picture.nodes.tolist() for picture in found.pictures))
    for classification in configuration.classification:
        pictures = read_folder(classification.folder, tree, held_out_every=classification.held_out_every)
        sources.append(Source(classification.folder.name, pictures, classification.repeats))
        nodes |= {picture.node for picture in pictures}
    return Data(sources, sorted(nodes), sorted(boxed), tree.closure(nodes).astype(np.int64))


def trained_index(trained: Iterable[int], nodes: int) -> NDArray[np.int64]:
    """Return the trained tree's node of each of the full tree's `nodes`, -1 where there is none."""
    index = np.full(nodes, -1, np.int64)
    chosen = np.fromiter(trained, np.int64)
    index[chosen] = np.arange(len(chosen))
    return index


def labelled_in_group(mixture: Mixture, tree: WordTree) -> NDArray[np.float32]:
    """Return for each node of the trained tree how many labels of the mixture's pictures lie in its sibling group.

    A label lies in the groups of all nodes on its path. A picture counts once, however often an epoch shows it.
    """
    labels = np.zeros(len(tree), np.int64)
    for picture in {id(picture): picture for _, picture in mixture.items}.values():
        nodes = [picture.node] if isinstance(picture, ClassifiedPicture) else picture.nodes
        np.add.at(labels, mixture.trained[nodes], 1)
    beneath = labels.copy()
    for node in range(len(tree) - 1, -1, -1):  # parents come before their children
        if tree.parents[node] >= 0:
            beneath[tree.parents[node]] += beneath[node]
    in_group = np.bincount(tree.group_of, weights=beneath, minlength=len(tree.group_first))
    return in_group[tree.group_of].astype(np.float32)


class DetectorRun:
    """yolov2-lite, its loss and its teacher."""

    def __init__(self, configuration: DetectConfiguration, tree: WordTree, mixture: Mixture) -> None:
        self.configuration, self.tree, self.mixture = configuration, tree, mixture
        classifier = load_imagenet_classifier()
        anchors = torch.tensor(configuration.network.anchors)
        self.detector = YOLOv2Lite(anchors, len(tree), classifier.backbone)
        self.detector.class_layer.start_from(classifier.rows, classifier.biases, imagenet_wnids(), tree)
        self.detector.class_layer.trust(torch.from_numpy(labelled_in_group(mixture, tree)))
        self.device = configuration.loop.choose_device()
        configuration.loop.place(self.detector, self.device)
        self.softmax = HierarchicalSoftmax(tree)
        self.region_loss = RegionLoss(self.softmax, configuration.loss).to(self.device)

    def loss(self, batch: Batch, seen: int) -> StepLoss:
        """Return the loss of a batch."""
        pictures = batch.pictures.permute(0, 3, 1, 2).float()
        teacher: Tensor | None = None
        with self.configuration.loop.autocast(pictures.device):
            prediction = self.detector(pictures)
        if self.configuration.loss.distillation_scale:
            teacher = classifier_opinion(self.detector.class_layer, prediction.features[0], batch.truths)
        parts = self.region_loss(self.detector, prediction, batch.truths, seen, teacher)
        return StepLoss(parts.total(), parts._asdict())

    def check_anchors(self) -> None:
        """Check that the anchors of what a detector resumes or starts from are those of the configuration.

        Raises:
            InvalidCheckpointError: they are not.
        """
        found, asked = self.detector.anchors, torch.tensor(self.configuration.network.anchors)
        if not torch.equal(found, asked):
            raise InvalidCheckpointError(
                f"{self.configuration.output}: the weights were trained with the anchors {found.tolist()}, not with "
                f"{asked.tolist()}; go on with their own"
            )

    def start_from(self, path: Path) -> None:
        """Start from the weights of another run or of a model file.

        Raises:
            InvalidCheckpointError: there are none, or they are another network's or for other anchors.
        """
        start_detector(self.detector, read_starting_point(path, packaged_tree()), self.tree.wnids)
        self.check_anchors()
        settings = self.configuration
        stream = Stream(
            len(self.mixture), settings.optimizer.batch, settings.sizes, settings.seed, 0, CALIBRATION_BATCHES
        )
        batches = load_batches(self.mixture, stream, settings.loop.workers)
        calibrate_norms(self.detector, (batch.pictures.permute(0, 3, 1, 2).float() for batch in batches))

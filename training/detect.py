"""Joint training of a detector on pictures with boxes and pictures with labels (paper section 4)."""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from model.wordtree import WordTree, packaged_tree
from training.configuration import DetectConfiguration
from training.data.batches import Batch, Mixture, Source, Stream, load_batches
from training.data.coco import DetectionSet, read_coco
from training.data.folder import read_folder
from training.data.imagenet import imagenet_wnids
from training.losses.hierarchical import HierarchicalSoftmax
from training.losses.region import RegionLoss
from training.networks.efficientnet_lite import load_imagenet_classifier
from training.networks.yolov2_lite import YOLOv2Lite
from training.teacher import ImageNetTeacher, TreeClassifier, initial_rows, pool_regions
from training.trainer import StepLoss, Trainer

logger = logging.getLogger(__name__)

PRETRAINED_PREFIXES = ("backbone.", "rows.")


class Data(NamedTuple):
    """The sets of a run and the nodes they, and the pre-trained classifier, know: ascending indices of the tree."""

    sources: list[Source]
    trained: NDArray[np.int64]


def train_detector(configuration: DetectConfiguration) -> bool:
    """Train; return whether the last step was reached (False: stopped, and can be resumed).

    Raises:
        InvalidDatasetError: a set cannot be used; it names the file and what to do.
        InvalidCheckpointError: there is nothing to resume.
    """
    folder = configuration.output
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(configuration.seed)
    if configuration.loop.threads:
        torch.set_num_threads(configuration.loop.threads)
    tree = packaged_tree()
    data = read_data(configuration, tree)
    subset = tree.subset(data.trained.tolist())
    mixture = Mixture(
        data.sources, trained_index(data.trained, len(tree)), configuration.augmentation, configuration.seed
    )
    logger.info("%d pictures an epoch, %d nodes with data", len(mixture), len(subset))
    run = DetectorRun(configuration, subset, mixture)
    state = {"trained": data.trained.tolist(), "tree": tree.digest}
    trainer = Trainer(
        run.detector,
        lambda name: name.startswith(PRETRAINED_PREFIXES),
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
    else:
        run.fit_rows()
        (folder / "configuration.json").write_text(configuration.model_dump_json(indent=1))
        trainer.reset_average()
    return trainer.run()


def read_data(configuration: DetectConfiguration, tree: WordTree) -> Data:
    """Read every set of a run."""
    sources, nodes = [], {tree.index(wnid) for wnid in imagenet_wnids()}
    for detection in configuration.detection:
        found: DetectionSet = read_coco(detection.annotations, detection.pictures, tree)
        sources.append(Source(found.name, found.pictures, detection.repeats, detection.negative_weight))
        nodes |= {category.node for category in found.categories}
    for classification in configuration.classification:
        pictures = read_folder(classification.folder, tree, held_out_every=classification.held_out_every)
        sources.append(Source(classification.folder.name, pictures, classification.repeats))
        nodes |= {picture.node for picture in pictures}
    return Data(sources, tree.closure(nodes).astype(np.int64))


def trained_index(trained: Iterable[int], nodes: int) -> NDArray[np.int64]:
    """Return the trained tree's node of each of the full tree's `nodes`, -1 where there is none."""
    index = np.full(nodes, -1, np.int64)
    chosen = np.fromiter(trained, np.int64)
    index[chosen] = np.arange(len(chosen))
    return index


class DetectorRun:
    """yolov2-lite, its loss and its teacher."""

    def __init__(self, configuration: DetectConfiguration, tree: WordTree, mixture: Mixture) -> None:
        self.configuration, self.tree, self.mixture = configuration, tree, mixture
        classifier = load_imagenet_classifier(configuration.network.frozen_blocks)
        self.tree_classifier = TreeClassifier(tree, imagenet_wnids())
        self.teacher = ImageNetTeacher(classifier, self.tree_classifier)
        self.classifier = classifier
        anchors = torch.tensor(configuration.network.anchors)
        self.detector = YOLOv2Lite(anchors, len(tree), classifier.backbone)
        self.detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.softmax = HierarchicalSoftmax(tree)
        self.region_loss = RegionLoss(self.softmax, configuration.loss)

    def loss(self, batch: Batch, seen: int) -> StepLoss:
        """Return the loss of a batch."""
        pictures = batch.pictures.permute(0, 3, 1, 2).float()
        teacher: Tensor | None = None
        with torch.autocast(pictures.device.type, torch.bfloat16, enabled=self.configuration.loop.bfloat16):
            shallow = self.detector.backbone.shallow(pictures)
            if self.configuration.loss.distillation_scale:
                teacher = self.teacher(shallow, batch.truths)
            prediction = self.detector.predict(shallow)
        parts = self.region_loss(self.detector, prediction, batch.truths, seen, teacher)
        return StepLoss(parts.total(), parts._asdict())

    def fit_rows(self) -> None:
        """Start the class rows from the ImageNet classifier's own; takes a minute or two."""
        losses = initial_rows(
            self.detector,
            self.classifier,
            self.softmax,
            self.tree_classifier,
            imagenet_wnids(),
            self.tree,
            self._features(),
            seed=self.configuration.seed,
        )
        logger.info("class rows: KL to the classifier %.3f nats, %.3f after distillation", *losses)

    @torch.no_grad()
    def _features(self) -> Tensor:
        """Return head features [M, 1280] of every labelled region, and of the cell at its centre."""
        configuration = self.configuration
        batches = configuration.network.row_batches
        size = (max(configuration.sizes),)
        stream = Stream(len(self.mixture), configuration.optimizer.batch, size, configuration.seed + 1, 0, batches)
        features = []
        for batch in tqdm(load_batches(self.mixture, stream, configuration.loop.workers), "features", mininterval=5):
            pictures = batch.pictures.permute(0, 3, 1, 2).float()
            with torch.autocast(pictures.device.type, torch.bfloat16, enabled=configuration.loop.bfloat16):
                backbone = self.detector.backbone
                maps = backbone.head(backbone(pictures)[1]).float()
            truths = batch.truths
            height, width = maps.shape[2:]
            column = (truths.boxes[:, 0] * width).long().clamp(0, width - 1)
            row = (truths.boxes[:, 1] * height).long().clamp(0, height - 1)
            features.append(pool_regions(maps, truths.boxes, truths.picture))
            features.append(maps[truths.picture, :, row, column])
            features.append(maps[truths.class_only_pictures].mean((2, 3)))
            features.append(maps[truths.class_only_pictures, :, height // 2, width // 2])
        return torch.cat(features)

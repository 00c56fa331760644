"""Scores a detector in training: COCO's average precision, recall, names on the path, and the loss."""

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from model.metadata import ModelMetadata
from model.pictures.decoding import letterbox
from model.runtime import OnnxDetector
from model.wordtree import WordTree
from training.configurations.describe import Nodes, describe, usual_size
from training.configurations.mixing import Data, trained_index
from training.configurations.train import TrainConfiguration
from training.data.batches import Batch, collate
from training.data.formats.detection_set import DetectionSet
from training.data.mixture import Example
from training.data.pictures.picture import BoxedPicture
from training.evaluation.evaluator import evaluate_set
from training.evaluation.inference import Rules, open_picture
from training.evaluation.report import SetReport
from training.networks.parts.detector import Detector
from training.runs.processes import Processes
from training.runs.trainer import Loss
from training.runs.watch import Watch
from training.targets import Targets
from training.validation.results import keep_reports
from training.validation.sets import validation_sets
from training.validation.torch_session import TorchSession

logger = logging.getLogger(__name__)

SEEN: Final = 2**40
"""Pictures that the loss is told were seen before: all, so that what only the first pictures pay is left out."""


class Training(Protocol):
    """What is scored: a detector in training, on its device, and its loss."""

    detector: Detector
    device: torch.device

    @property
    def loss(self) -> Loss:
        """Return the loss of a batch."""


class Validator:
    """Scores a detector on sets that it does not train on.

    Args:
        configuration: of the run.
        sets: to score on.
        detector: in evaluation mode whenever it is scored, with the weights to score.
        metadata: of the model file that it would become.
        loss: what is minimised.
        trained: int64 [N], the trained tree's node of each of the tree's N, -1 where there is none.
        device: where it computes.
    """

    def __init__(
        self,
        configuration: TrainConfiguration,
        sets: Sequence[DetectionSet],
        detector: Detector,
        metadata: ModelMetadata,
        loss: Loss,
        trained: NDArray[np.int64],
        device: torch.device,
    ) -> None:
        self._sets, self._loss, self._trained, self._device = sets, loss, trained, device
        settings = configuration.validation
        self._rules = Rules(size=metadata.default_size, batch=settings.batch)
        session = TorchSession(detector, device, lambda: configuration.loop.autocast(device))
        self._detector = OnnxDetector(session, metadata)
        self.reports: tuple[SetReport, ...] = ()

    def __call__(self) -> dict[str, float]:
        """Score the detector; return the means over the sets and, of several, each set's own scores behind its name."""
        began = time.monotonic()
        self.reports = tuple(evaluate_set(self._detector, one, self._rules, progress=True)[0] for one in self._sets)
        scores = {
            report.name: _scores(report) | {"loss": self._mean_loss(one)}
            for one, report in zip(self._sets, self.reports, strict=True)
        }
        keys = dict.fromkeys(key for one in scores.values() for key in one)
        means = {key: float(np.mean([one[key] for one in scores.values() if key in one])) for key in keys}
        if len(scores) > 1:
            means |= {f"{name}/{key}": value for name, one in scores.items() for key, value in one.items()}
        means["seconds"] = time.monotonic() - began
        return {key: round(value, 5) for key, value in means.items()}

    @torch.no_grad()
    def _mean_loss(self, one: DetectionSet) -> float:
        """Return the mean loss of a set's pictures, as they are."""
        total = 0.0
        for batch in tqdm(self._batches(one), desc=f"{one.name}, loss", unit="batch", disable=None, leave=False):
            total += float(self._loss(batch, SEEN).total) * len(batch.pictures)
        return total / len(one.pictures)

    def _batches(self, one: DetectionSet) -> Iterator[Batch]:
        count = self._rules.batch
        for first in range(0, len(one.pictures), count):
            batch = collate([self._example(picture) for picture in one.pictures[first : first + count]])
            targets = Targets(*(value.to(self._device) for value in batch.targets))
            yield Batch(batch.pictures.to(self._device), targets)

    def _example(self, picture: BoxedPicture) -> Example:
        """Return a picture as it is served, with its boxes."""
        image, boxed = open_picture(picture)
        pixels, frame = letterbox(image, self._detector.metadata.default_size)
        corners = frame.to_input(boxed.boxes) / frame.size
        boxes = np.concatenate(((corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]), axis=1)
        nodes = self._trained[boxed.nodes]
        return Example(pixels, boxes.astype(np.float32), nodes, np.ones(len(nodes), np.float32), 1.0)


def watch_of(
    configuration: TrainConfiguration, training: Training, data: Data, tree: WordTree, processes: Processes
) -> Watch | None:
    """Return what scores a run while it trains; None where there is nothing to score it on.

    Args:
        configuration: of the run.
        training: the detector in training, on its device, and its loss.
        data: that it trains on.
        tree: of the labels.
        processes: of the run; the first alone scores.

    Raises:
        InvalidDatasetError: a set to score on cannot be used.
    """
    sets = validation_sets(configuration, tree)
    if not sets:
        return None
    settings = configuration.validation
    size = settings.size or usual_size(configuration.sizes)
    nodes = Nodes(tuple(data.trained.tolist()), tuple(data.labelled), tuple(data.boxed))
    metadata = describe(configuration, training.detector, tree, nodes, (size,), size, licence="")
    validator = Validator(
        configuration,
        sets if processes.first else (),
        training.detector,
        metadata,
        training.loss,
        trained_index(data.trained, len(tree)),
        training.device,
    )
    every = settings.steps_between(configuration.optimizer.steps)
    return Watch(
        validator,
        settings.best_by,
        every,
        settings.patience,
        keep=lambda folder: keep_reports(folder, validator.reports),
    )


def _scores(report: SetReport) -> dict[str, float]:
    """Return those of a report's scores that there are."""
    lineage = report.lineage[0].accuracy
    found = {"ap50": report.ap50, "ap": report.ap, "recall": report.recall, "lineage": lineage}
    return {name: value for name, value in found.items() if value is not None}

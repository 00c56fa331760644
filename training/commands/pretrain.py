"""The `pretrain` command: pre-trains a backbone on pictures with labels, with a hierarchical or a flat softmax.

Paper section 3, "training for classification", and section 4, "hierarchical classification". The 448 px stage is a run
of its own that starts from the first one's folder.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from model.wordtree import WordTree
from training.command_line import ConfigurationError
from training.configurations.mixing import trained_index
from training.configurations.pretrain import PretrainConfiguration
from training.data.batches import Batch
from training.data.formats.detection_set import DetectionSet, InvalidDatasetError
from training.data.formats.label_map import known_names
from training.data.formats.picture_headers import ensure_usable
from training.data.index.sets import read_labels, read_shards
from training.data.sources import Source, labels_of
from training.data.views import Views
from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.backbones.classifier import Classifier
from training.networks.classifiers import build_classifier
from training.runs.classifier_scores import ClassifierScores, score_classifier
from training.runs.computing import LoopConfiguration
from training.runs.freezing import freeze
from training.runs.run_training import begin_run
from training.runs.trainer import StepLoss, Trainer
from training.weights.checkpoint import InvalidCheckpointError, write_whole
from training.weights.classifier_start import start_classifier
from training.weights.classifier_state import CLASSIFIER, ClassifierState, Softmax

logger = logging.getLogger(__name__)

SCORES = "scores.json"


class Labels:
    """What the columns of a classifier stand for.

    Attributes:
        nodes: [C] ascending nodes of the tree, one a column: with a hierarchical softmax the labels and their
            ancestors, with a flat one the labels alone.
        labelled: the labels.
        subset: with a hierarchical softmax the tree of the columns; else None.
        columns: [N], the column of each node of the tree, -1 where there is none.
    """

    def __init__(self, tree: WordTree, labelled: set[int], softmax: Softmax) -> None:
        self.tree, self.labelled = tree, sorted(labelled)
        hierarchical = softmax == "hierarchical"
        self.nodes: list[int] = tree.closure(labelled).tolist() if hierarchical else self.labelled
        self.subset = tree.subset(self.nodes) if hierarchical else None
        self.columns: NDArray[np.int64] = trained_index(self.nodes, len(tree))

    @property
    def wnids(self) -> tuple[str, ...]:
        """The synset of each column."""
        return tuple(self.tree.wnids[node] for node in self.nodes)


class Outcome(NamedTuple):
    """What a run came to: whether the last step was reached, and what was scored, if there was anything to score on."""

    finished: bool
    scores: ClassifierScores | None = None


def train_classifier(configuration: PretrainConfiguration) -> Outcome:
    """Train and, at the end, score.

    The output folder then holds the checkpoint, the log, configuration.json, and scores.json. A finished run that is
    resumed is scored again.

    Raises:
        ConfigurationError, FolderInUseError, InvalidCheckpointError, InvalidDatasetError, FloatingPointError: as
            `training.commands.train.train_detector`.
    """
    with begin_run(configuration) as run:
        pictures, held_out = read_pictures(configuration, run.tree)
        labels = Labels(run.tree, labels_of(pictures), configuration.softmax)
        _check_labels(held_out, labels)
        if run.resumed is not None:
            _check_resumed(configuration.output, run.resumed, labels, configuration)
        views = Views(pictures, labels.columns, configuration.augmentation, configuration.seed)
        network = build_classifier(configuration.network.name, len(labels.nodes))
        if run.resumed is None and configuration.network.start is not None:
            start_classifier(network, configuration.network.name, configuration.network.start, labels.wnids)
        freeze(network, configuration.network.freeze)
        configuration.loop.place(network, run.device)
        trainer = Trainer(
            network=network,
            peak_rate=lambda _: configuration.optimizer.learning_rate,
            loss=ClassifierLoss(network, labels.subset, configuration.loop, run.device),
            mixture=views,
            sizes=configuration.sizes,
            optimizer=configuration.optimizer,
            loop=configuration.loop,
            folder=configuration.output,
            state={
                "trained": labels.nodes,
                "labelled": labels.labelled,
                "tree": run.tree.digest,
                CLASSIFIER: ClassifierState(
                    network=configuration.network.name, softmax=configuration.softmax
                ).model_dump(),
            },
            processes=run.processes,
        )
        logger.info("%d pictures an epoch, %d labels, %d columns", len(views), len(labels.labelled), len(labels.nodes))
        finished = run.train(trainer)
        if not finished or not held_out or not run.processes.first:
            return Outcome(finished)
        network.load_state_dict(trainer.average)
        return Outcome(finished, _score(network, labels, held_out, configuration))


def _score(
    network: Classifier, labels: Labels, held_out: Sequence[Source], configuration: PretrainConfiguration
) -> ClassifierScores:
    """Score a trained classifier on pictures that were held out, and keep the scores in the run's folder."""
    scores = score_classifier(
        network,
        labels.subset,
        labels.columns[labels.labelled],
        Views(held_out, labels.columns, None),
        configuration.sizes[-1],
        configuration.loop,
    )
    write_whole(configuration.output / SCORES, scores.model_dump_json(indent=1))
    return scores


def read_pictures(configuration: PretrainConfiguration, tree: WordTree) -> tuple[list[Source], list[Source]]:
    """Return the sets of an epoch, and those to score on.

    Raises:
        InvalidDatasetError: a folder cannot be used.
    """
    pictures: list[Source] = []
    held_out: list[Source] = []
    every_name: dict[str, str] = {}
    for source in configuration.classification:
        every, names, index = source.held_out_every, known_names(source.label_map), configuration.index
        every_name |= names or {}
        name = source.folder.name
        found = read_labels(source.folder, tree, names, index=index, held_out_every=every)
        pictures.append(Source(name, found, source.repeats))
        if every and configuration.validation is None:
            left = read_labels(source.folder, tree, names, index=index, held_out_every=every, held_out=True)
            held_out.append(Source(name, left))
    for shards in configuration.shards:
        for held, sources in ((False, pictures), (True, held_out)):
            if held and not (shards.held_out_every and configuration.validation is None):
                continue
            read = read_shards(
                shards, tree, index=configuration.index, configuration=configuration.shuffling, held_out=held
            )
            if isinstance(read, DetectionSet):
                raise InvalidDatasetError(f"{shards.source}: has boxes; `pretrain` takes pictures with a label alone")
            sources.append(Source(shards.source, read, 1 if held else shards.repeats))
    if configuration.validation is not None:
        found = read_labels(configuration.validation, tree, every_name, index=configuration.index)
        held_out.append(Source(configuration.validation.name, found))
    for one in (*pictures, *held_out):
        ensure_usable(one.pictures)
    return pictures, held_out


def _check_labels(held_out: Sequence[Source], labels: Labels) -> None:
    if unknown := labels_of(held_out) - set(labels.labelled):
        for source in held_out:
            first = np.flatnonzero(np.isin(source.pictures.labels(), list(unknown)))
            if len(first):
                raise ConfigurationError(
                    f"validation: {source.pictures[int(first[0])].path.parent} is no label of the training pictures, "
                    f"so no classifier of theirs can be scored on it"
                )


def _check_resumed(
    folder: Path, state: Mapping[str, Any], labels: Labels, configuration: PretrainConfiguration
) -> None:
    before = ClassifierState.read(folder, state)
    now = ClassifierState(network=configuration.network.name, softmax=configuration.softmax)
    if before != now:
        raise InvalidCheckpointError(
            f"{folder}: holds {before.network} with a {before.softmax} softmax, not {now.network} with a {now.softmax} "
            f"one"
        )
    if state.get("tree") != labels.tree.digest or state.get("trained") != labels.nodes:
        raise InvalidCheckpointError(
            f"{folder}: the checkpoint was trained on other labels or another tree; resume with the same sets, or "
            f"start afresh in another output folder"
        )


class ClassifierLoss:
    """Cross-entropy of pictures' labels.

    With a tree it is taken in every sibling group on the path to the label: its ancestors are positives, and the groups
    beneath it carry no loss.
    """

    def __init__(
        self, network: Classifier, subset: WordTree | None, loop: LoopConfiguration, device: torch.device
    ) -> None:
        self.network, self.loop = network, loop
        self.softmax = None if subset is None else HierarchicalSoftmax(subset).to(device)

    def __call__(self, batch: Batch, _: int) -> StepLoss:
        """Return the loss of a batch."""
        pictures, labels = batch.pictures.permute(0, 3, 1, 2).float(), batch.targets.class_only_nodes
        with self.loop.autocast(pictures.device):
            logits = self.network(pictures).float()
        if self.softmax is None:
            return StepLoss(F.cross_entropy(logits, labels), {})
        return StepLoss(self.softmax.path_loss(logits, labels).mean(), {})

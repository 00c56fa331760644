"""The `train` command: joint training on pictures with boxes and pictures with labels (paper section 4)."""

import logging
from typing import Final

from training.command_line import ConfigurationError
from training.commands.detector_training import PUBLISHED, DetectorTraining, peak_rate
from training.configurations.load import check_nodes
from training.configurations.mixing import read_data, trained_index
from training.configurations.train import TrainConfiguration
from training.data.mixture import Mixture
from training.networks.backbones.efficientnet_lite import LiteName, backbone_name
from training.networks.catalogue import WITH_BACKBONES
from training.runs.run_training import begin_run
from training.runs.trainer import Trainer
from training.validation.batch_picture import draw_first_batch
from training.validation.results import draw_results
from training.validation.validator import watch_of
from training.weights.checkpoint import AVERAGE_PREFIX, load_checkpoint, tensors_of
from training.weights.flat_classifier import load_flat_classifier
from training.weights.starting_point import read_starting_point

logger = logging.getLogger(__name__)

CONFUSIONS_TOLD: Final = 3
"""Of the best weights, at the end."""


def train_detector(configuration: TrainConfiguration) -> bool:
    """Train; return whether the last step was reached (False: stopped, and can be resumed).

    The output folder then holds the checkpoint, the log and configuration.json, which is what was asked for last.

    Raises:
        ConfigurationError: the network, the device or the tree is not there, or does not fit what is asked of it.
        FolderInUseError: a fresh start into a folder with a checkpoint.
        InvalidCheckpointError: there is nothing to resume, or it was trained on other nodes or another network.
        InvalidDatasetError: a set cannot be used; it names the file and what to do.
        FloatingPointError: training diverged; the last checkpoint stays.
    """
    with begin_run(configuration) as run:
        tree, network = run.tree, configuration.network
        classifier = (
            load_flat_classifier(network.start, classifier_backbone(configuration))
            if network.name in WITH_BACKBONES
            else None
        )
        data = read_data(configuration, tree, () if classifier is None else classifier.wnids)
        if run.resumed is not None:
            check_nodes(configuration.output, run.resumed, data, tree)
        subset = tree.subset(data.trained.tolist())
        mixture = Mixture(
            data.sources, trained_index(data.trained, len(tree)), configuration.augmentation, configuration.seed
        )
        logger.info("%d pictures an epoch, %d nodes with data", len(mixture), len(subset))
        training = DetectorTraining(configuration, subset, mixture, classifier, run.device)
        if run.processes.first and run.resumed is None:
            draw_first_batch(configuration, mixture, subset)
        watch = watch_of(configuration, training, data, tree, run.processes)
        if run.resumed is None and network.start is not None:
            training.start_from(network.start)
        trainer = Trainer(
            network=training.detector,
            peak_rate=lambda name: peak_rate(name, configuration),
            loss=training.loss,
            mixture=mixture,
            sizes=configuration.sizes,
            optimizer=configuration.optimizer,
            loop=configuration.loop,
            folder=configuration.output,
            state={
                "trained": data.trained.tolist(),
                "labelled": data.labelled,
                "boxed": data.boxed,
                "tree": tree.digest,
            },
            processes=run.processes,
            watch=watch,
        )
        finished = run.train(trainer, training.check_anchors)
        if run.processes.first:
            for one in draw_results(configuration.output)[:CONFUSIONS_TOLD]:
                logger.info("%s was called %s %d times in validation", one.truth_name, one.said_name, one.count)
        return finished


def classifier_backbone(configuration: TrainConfiguration) -> LiteName:
    """Return the backbone of a run's classifier: that of the weights it goes on or starts from, where there are any.

    Raises:
        ConfigurationError: another one was asked for.
        InvalidCheckpointError: the weights cannot be read.
    """
    network = configuration.network
    source = configuration.output if configuration.resume else network.start
    if source is None or source.suffix == PUBLISHED:
        return network.backbone or "lite0"
    if configuration.resume:
        weights = tensors_of(load_checkpoint(source).tensors, AVERAGE_PREFIX)
    else:
        weights = read_starting_point(source, network.design()).weights
    found = backbone_name(weights)
    if found is None:  # weights of another network; what comes next says so
        return network.backbone or "lite0"
    if network.backbone not in {None, found}:
        raise ConfigurationError(f"network.backbone: {source} is built on {found}, not on {network.backbone}")
    return found

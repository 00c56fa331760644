"""The `train` command: joint training on pictures with boxes and pictures with labels (paper section 4)."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.wordtree import WordTree, packaged_tree
from training.command_line import ConfigurationError
from training.commands.detector_run import PUBLISHED, DetectorRun, peak_rate
from training.configurations.mixing import Data, read_data, trained_index
from training.configurations.train import TrainConfiguration
from training.data.mixture import Mixture
from training.networks.backbones.efficientnet_lite import LiteName, backbone_name
from training.networks.catalogue import WITH_BACKBONES
from training.runs.processes import Processes, join_processes
from training.runs.trainer import Trainer
from training.weights.checkpoint import AVERAGE_PREFIX, InvalidCheckpointError, load_checkpoint, tensors_of, write_whole
from training.weights.flat_classifier import load_flat_classifier
from training.weights.run_folder import CONFIGURATION, open_run_folder, read_tree_file, save_tree
from training.weights.starting_point import read_starting_point

logger = logging.getLogger(__name__)


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
    with join_processes(configuration.loop.choose_device().type) as processes:
        return _train(configuration, processes)


def _train(configuration: TrainConfiguration, processes: Processes) -> bool:
    folder = configuration.output
    resumed = open_run_folder(folder, resume=configuration.resume)
    torch.manual_seed(configuration.seed)
    if configuration.loop.threads:
        torch.set_num_threads(configuration.loop.threads)
    tree = packaged_tree() if configuration.tree is None else read_tree_file(configuration.tree)
    network = configuration.network
    classifier = (
        load_flat_classifier(network.start, classifier_backbone(configuration))
        if network.name in WITH_BACKBONES
        else None
    )
    data = read_data(configuration, tree, () if classifier is None else classifier.wnids)
    if resumed is not None:
        check_nodes(folder, resumed, data, tree)
    subset = tree.subset(data.trained.tolist())
    mixture = Mixture(
        data.sources, trained_index(data.trained, len(tree)), configuration.augmentation, configuration.seed
    )
    logger.info("%d pictures an epoch, %d nodes with data", len(mixture), len(subset))
    device = configuration.loop.choose_device(processes.local_rank)
    run = DetectorRun(configuration, subset, mixture, classifier, device)
    if resumed is None and network.start is not None:
        run.start_from(network.start)
    trainer = Trainer(
        network=run.detector,
        peak_rate=lambda name: peak_rate(name, configuration),
        loss=run.loss,
        mixture=mixture,
        sizes=configuration.sizes,
        optimizer=configuration.optimizer,
        loop=configuration.loop,
        folder=folder,
        state={"trained": data.trained.tolist(), "labelled": data.labelled, "boxed": data.boxed, "tree": tree.digest},
        processes=processes,
    )
    if resumed is not None:
        trainer.resume()
        run.check_anchors()
    if processes.first:
        save_tree(folder, tree)
        write_whole(folder / CONFIGURATION, configuration.model_dump_json(indent=1))
    return trainer.run()


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

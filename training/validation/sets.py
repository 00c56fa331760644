"""Which pictures a run is scored on."""

import logging
from dataclasses import replace

import numpy as np

from model.wordtree import WordTree
from training.configurations.train import DetectionSource, TrainConfiguration
from training.data.formats.detection_set import DetectionSet, InvalidDatasetError
from training.data.formats.layouts.exports import find_parts, is_split
from training.data.formats.picture_headers import ensure_usable
from training.data.index.sets import ShardSource, read_shards

logger = logging.getLogger(__name__)


def validation_sets(configuration: TrainConfiguration, tree: WordTree) -> list[DetectionSet]:
    """Read the sets that a run is scored on; none where it has none, or is not to be scored.

    Raises:
        InvalidDatasetError: a set or pictures of it cannot be used; it names the files and what to do.
    """
    settings = configuration.validation
    if not settings.steps_between(configuration.optimizer.steps):
        return []
    sets = [
        one.read(
            tree,
            index=configuration.index,
            split="val",
            strict=configuration.strict,
            held_out_every=one.held_out_every,
            held_out=one.held_out_every > 0,
        )
        for one in settings.sets
    ]
    if not settings.sets:
        sets = [found for one in configuration.detection for found in _beside(one, configuration, tree)]
        sets += [found for one in configuration.shards for found in _held_out(one, configuration, tree)]
    sets = [_spread(one, settings.most_pictures) for one in sets]
    for one in sets:
        ensure_usable(one.pictures)
    if sets:
        told = ", ".join(f"{one.name} ({len(one.pictures)} pictures)" for one in sets)
        logger.info("validation on %s", told)
    return sets


def _beside(source: DetectionSource, configuration: TrainConfiguration, tree: WordTree) -> list[DetectionSet]:
    """Read what a training set leaves to be scored on: what it holds out, or the part `val` beside `train`."""
    every = source.held_out_every
    if not every and not _has_val(source):
        return []
    return [
        source.read(
            tree,
            index=configuration.index,
            split="train" if every else "val",
            strict=configuration.strict,
            held_out_every=every,
            held_out=every > 0,
        )
    ]


def _held_out(source: ShardSource, configuration: TrainConfiguration, tree: WordTree) -> list[DetectionSet]:
    """Read what a set in shards holds out, if it has boxes."""
    if not source.held_out_every:
        return []
    read = read_shards(
        source,
        tree,
        index=configuration.index,
        configuration=configuration.shuffling,
        strict=configuration.strict,
        held_out=True,
    )
    return [read] if isinstance(read, DetectionSet) else []


def _has_val(source: DetectionSource) -> bool:
    """Tell whether a data.yaml or an export has a part `val` of its own."""
    if source.pictures is not None:
        return False
    try:
        return is_split(find_parts(source.annotations))
    except InvalidDatasetError:  # training tells of it
        return False


def _spread(one: DetectionSet, most: int) -> DetectionSet:
    """Return a set with so many of its pictures at most, spread evenly over it; 0: all."""
    count = len(one.pictures)
    if not most or count <= most:
        return one
    return replace(one, pictures=one.pictures.select(np.arange(most) * count // most))

"""The data of a joint run: its sets, which nodes they teach, and how often an epoch shows each picture."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.wordtree import WordTree
from training.configurations.train import TrainConfiguration
from training.data.formats.detection_set import DetectionSet, InvalidDatasetError
from training.data.formats.label_map import known_names
from training.data.formats.picture_headers import ensure_usable
from training.data.index.sets import read_labels, read_shards
from training.data.mixture import Mixture
from training.data.opinions import Opinions, read_opinions
from training.data.pictures.picture import Picture
from training.data.sources import Source, labels_of

logger = logging.getLogger(__name__)

MOST_REPEATS: Final = 8
"""Of the side that is repeated less often; with more of them a ratio could be met more exactly than by 1 in 16."""


class Data(NamedTuple):
    """The sets of a run, and ascending indices of the tree.

    labelled: the nodes that the sets and the pre-trained classifier have labels of. boxed: those of them with boxes.
    trained: the labelled nodes and their ancestors.
    """

    sources: list[Source]
    labelled: list[int]
    boxed: list[int]
    trained: NDArray[np.int64]


def read_data(configuration: TrainConfiguration, tree: WordTree, known: Iterable[str]) -> Data:
    """Read every set of a run.

    Args:
        configuration: names them.
        tree: of their labels.
        known: synsets that the network knows from elsewhere; those that the tree does not have are left out.

    Raises:
        InvalidDatasetError: a set or pictures of it cannot be used; it names the files and what to do.
    """
    boxes, labels = [], []
    nodes = {tree.index(wnid) for wnid in known if wnid in tree}
    for detection in configuration.detection:
        found = detection.read(
            tree,
            index=configuration.index,
            strict=configuration.strict,
            held_out_every=detection.held_out_every,
        )
        folder = detection.pictures or detection.annotations.parent
        opinions = _opinions(configuration, detection.opinions, found.pictures, folder, tree)
        boxes.append(
            Source(
                found.name, found.pictures, detection.repeats, detection.negative_weight, detection.balance, opinions
            )
        )
        nodes |= {category.node for category in found.categories}
    for classification in configuration.classification:
        pictures = read_labels(
            classification.folder,
            tree,
            known_names(classification.label_map),
            index=configuration.index,
            held_out_every=classification.held_out_every,
        )
        opinions = _opinions(configuration, classification.opinions, pictures, classification.folder, tree)
        labels.append(Source(classification.folder.name, pictures, classification.repeats, opinions=opinions))
    for shards in configuration.shards:
        read = read_shards(
            shards, tree, index=configuration.index, configuration=configuration.shuffling, strict=configuration.strict
        )
        if isinstance(read, DetectionSet):
            boxes.append(Source(read.name, read.pictures, shards.repeats, shards.negative_weight, shards.balance))
            nodes |= {category.node for category in read.categories}
        else:
            labels.append(Source(shards.source, read, shards.repeats))
    if not boxes:
        raise InvalidDatasetError("shards: none of the sets has boxes; a detector needs some")
    for source in (*boxes, *labels):
        ensure_usable(source.pictures)
    boxed = labels_of(boxes)
    nodes |= labels_of(labels)
    if configuration.mixing is not None:
        boxes, labels = mix(boxes, labels, configuration.mixing)
    return Data([*boxes, *labels], sorted(nodes), sorted(boxed), tree.closure(nodes).astype(np.int64))


def _opinions(
    configuration: TrainConfiguration,
    path: Path | None,
    pictures: Iterable[Picture],
    folder: Path,
    tree: WordTree,
) -> Opinions | None:
    if path is None:
        return None
    believed = configuration.opinions
    by_path = read_opinions(path, (picture.path for picture in pictures), folder, tree)
    return Opinions(by_path, tree, believed.sure, believed.doubted)


def mix(boxes: Sequence[Source], labels: Sequence[Source], ratio: float) -> tuple[list[Source], list[Source]]:
    """Repeat sets until an epoch shows `ratio` pictures with a label alone for each picture with boxes.

    The paper oversamples COCO until ImageNet is larger "by a factor of 4:1" (section 4). What `repeats` says of the
    sets among themselves is kept. Either side may be repeated; the ratio is met to one part in 16, or nearly so where
    pictures of rare categories come more often.
    """
    with_boxes, with_labels = (sum(one.shown() for one in side) for side in (boxes, labels))
    if not with_boxes or not with_labels:
        return list(boxes), list(labels)
    wanted = Fraction(with_labels) / Fraction(ratio) / with_boxes  # repeats of boxes for each repeat of labels
    near = wanted.limit_denominator(MOST_REPEATS) if wanted >= 1 else 1 / (1 / wanted).limit_denominator(MOST_REPEATS)
    times_boxes, times_labels = near.numerator, near.denominator
    logger.info(
        "an epoch repeats pictures with boxes %d times and those with labels %d times: %.2f to 1",
        times_boxes,
        times_labels,
        with_labels * times_labels / (with_boxes * times_boxes),
    )
    return (
        [replace(one, repeats=one.repeats * times_boxes) for one in boxes],
        [replace(one, repeats=one.repeats * times_labels) for one in labels],
    )


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
    for source in mixture.sources:
        labels += np.bincount(mixture.trained[source.pictures.labels()], minlength=len(tree))
    beneath = labels.copy()
    for node in range(len(tree) - 1, -1, -1):  # parents come before their children
        if tree.parents[node] >= 0:
            beneath[tree.parents[node]] += beneath[node]
    in_group = np.bincount(tree.group_of, weights=beneath, minlength=len(tree.group_first))
    return in_group[tree.group_of].astype(np.float32)

"""What a model file says of the detector that a run trained."""

from typing import Any, Final, NamedTuple

from model.metadata import ModelMetadata, Preprocessing, Thresholds, TreeMetadata
from model.wordtree import WordTree
from training.configurations.train import TrainConfiguration
from training.networks.backbones import nanodet
from training.networks.backbones.efficientnet_lite import PIXEL_MEAN, PIXEL_SCALE
from training.networks.catalogue import DetectorName
from training.networks.parts.detector import Detector

PREPROCESSING: Final[dict[DetectorName, Preprocessing]] = {
    "yolov2-efficientnet": Preprocessing(mean=(PIXEL_MEAN,) * 3, scale=(PIXEL_SCALE,) * 3),
    "yolov2-lite": Preprocessing(mean=nanodet.PIXEL_MEAN, scale=nanodet.PIXEL_SCALE),
}
USUAL_SIZE: Final = 416
"""Pixels; yolov2-voc.cfg and yolo9000.cfg have inputs of 416 and 544."""


class Nodes(NamedTuple):
    """Ascending indices of the tree: the nodes with a class row, those of labels, and those of boxes."""

    trained: tuple[int, ...]
    labelled: tuple[int, ...]
    boxed: tuple[int, ...]


def usual_size(sizes: tuple[int, ...]) -> int:
    """Return which of some input sizes is used where none is asked for."""
    return min(sizes, key=lambda size: abs(size - USUAL_SIZE))


def describe(
    run: TrainConfiguration,
    detector: Detector,
    tree: WordTree,
    nodes: Nodes,
    sizes: tuple[int, ...],
    default_size: int,
    **more: Any,
) -> ModelMetadata:
    """Return the metadata of a run's detector.

    Args:
        run: its configuration.
        detector: what it trained.
        tree: the whole one.
        nodes: of the tree.
        sizes: input sizes to allow, px.
        default_size: one of them.
        more: other fields of the metadata, and instead of those that are the run's; `objectness` is a threshold.
    """
    fields = {
        "name": run.network.name,
        "version": "1",
        "thresholds": Thresholds(objectness=more.pop("objectness", 0.25)),
    }
    return ModelMetadata(
        tree=TreeMetadata.of(tree),
        **nodes._asdict(),
        anchors=tuple((float(width), float(height)) for width, height in run.network.design().anchors),
        stride=detector.stride,
        sizes=tuple(sorted(set(sizes))),
        default_size=default_size,
        preprocessing=PREPROCESSING.get(run.network.name, Preprocessing()),
        **{**fields, **more},
    )

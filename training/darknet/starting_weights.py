"""Darknet's weights files as what a detector starts from: a detector's, a classifier's, or the first layers alone.

The files do not say what they are, but their lengths tell: after the layers of the backbone (or of the whole detector)
come the rows of the last one, however many classes it has. `darknet19_448.conv.23`, which YOLOv2 is trained from, ends
after a layer; there is nothing more of it then.
"""

from __future__ import annotations

from itertools import accumulate, groupby
from pathlib import Path
from typing import Final

from torch import Tensor, nn

from model.tree_files import packaged_tree
from training.darknet.errors import InvalidWeightsError
from training.darknet.labels import known_labels
from training.darknet.weights import Part, count_values, fill, parts
from training.networks.catalogue import BACKBONE, Design, build_detector
from training.networks.parts.region_head import BOX_CHANNELS, RegionDetector

LABELS: Final = {"yolov2": "coco", "yolov2-tiny": "coco", "yolov2-voc": "voc", "yolov2-tiny-voc": "voc"}
"""Of the published weights of a network; yolo9000's are the packaged tree's nodes."""


def read_darknet_start(path: Path, design: Design) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Read what a weights file has of a network.

    Args:
        path: the file.
        design: of the network.

    Returns:
        Tensors named as in the network's state dict, and the synset of each class row; () where these are unknown.

    Raises:
        InvalidWeightsError: the file cannot be read, or is of another network.
    """
    network = build_detector(design, 1)
    if not isinstance(network, RegionDetector):
        raise InvalidWeightsError(f"{path}: darknet has no {design.name}; start it from a run or from a model file")
    values = count_values(path)
    body = [part for part in parts(network) if part.tensor not in set(network.head.parameters())]
    anchors, channels = len(network.anchors), network.head.convolution.in_channels
    rows, rest = divmod(values - _count(body), channels + 1)
    classes = rows // anchors - BOX_CHANNELS
    if rest == 0 and rows % anchors == 0 and classes > 0:
        network = build_detector(design, classes)
        fill(parts(network), path)
        return network.state_dict(), _labels(design.name, classes)
    backbone = network.get_submodule(BACKBONE.removesuffix("."))
    below = list(parts(backbone))
    last = [module for module in backbone.modules() if isinstance(module, nn.Conv2d)][-1]
    rows, rest = divmod(values - _count(below), last.out_channels + 1)
    if rest == 0 and rows > 0:
        fill(below, path)
        return {f"{BACKBONE}{name}": value for name, value in backbone.state_dict().items()}, ()
    return _first_layers(path, network, body, values), ()


def _first_layers(path: Path, network: nn.Module, body: list[Part], values: int) -> dict[str, Tensor]:
    """Read a file that ends after one of the layers."""
    layers = [list(group) for _, group in groupby(body, key=lambda part: part.number)]
    ends = list(accumulate(_count(layer) for layer in layers))
    if values not in ends:
        raise InvalidWeightsError(
            f"{path}: holds {values} numbers, which is neither this network, nor a classifier on its backbone, nor its "
            f"first layers: it is of another network, or cut short"
        )
    filled = [part for layer in layers[: ends.index(values) + 1] for part in layer]
    fill(filled, path)
    read = {part.tensor.data_ptr() for part in filled}
    return {name: value for name, value in network.state_dict().items() if value.data_ptr() in read}


def _count(counted: list[Part]) -> int:
    return sum(part.tensor.numel() for part in counted)


def _labels(name: str, classes: int) -> tuple[str, ...]:
    """Return the synsets of the published network's classes, if these are as many."""
    wnids = packaged_tree().wnids if name == "yolo9000" else known_labels(LABELS[name]).wnids
    return wnids if len(wnids) == classes else ()

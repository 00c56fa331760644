"""A network built from a cfg: a detector where it ends in [region], a classifier where it ends in [softmax]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from training.darknet.cfg import Cfg, Section
from training.darknet.errors import InvalidCfgError
from training.darknet.layers import AveragePool, Convolution, Route, Shape, build_layer
from training.networks.backbones.classifier import Classifier
from training.networks.parts.layers import scale_pictures
from training.networks.parts.region_head import BOX_CHANNELS, RegionDetector, RegionHead

COORDINATES: Final = 4  # [region] coords
MOST_LAYERS: Final = 1000
LARGEST_OUTPUT: Final = 1 << 28  # values of one layer's output for one picture, 1 GiB; yolov2's largest has 12 million

# What stands below the last layer that is built here.
CLASSIFIER_ENDS: Final = ("softmax", "cost")


class DarknetLayers(nn.Module):
    """The layers of a cfg in order, each reading the one before it, a [route] those it names."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self._routed = {source for layer in layers if isinstance(layer, Route) for source in layer.sources}

    def forward(self, x: Tensor) -> Tensor:
        """Map scaled pictures [B, 3, H, W] to the last layer's output."""
        kept: dict[int, Tensor] = {}
        for number, layer in enumerate(self.layers):
            x = layer([kept[source] for source in layer.sources] if isinstance(layer, Route) else x)
            if number in self._routed:
                kept[number] = x
        return x


class DarknetDetector(RegionDetector):
    """A network that ends in a 1x1 [convolutional] and [region].

    Args:
        layers: those below the last [convolutional].
        channels: of their output.
        anchors: [A, 2], width and height in cells.
        classes: class logits a box.
        stride: pixels of the input to one cell.
    """

    def __init__(
        self, layers: Sequence[nn.Module], channels: int, anchors: Sequence[Sequence[float]], classes: int, stride: int
    ) -> None:
        super().__init__(torch.tensor(anchors, dtype=torch.float32), classes, stride, multiple=stride)
        self.body = DarknetLayers(layers)
        self.head = RegionHead(channels, len(anchors), classes)

    def trunk(self, scaled: Tensor) -> Tensor:
        """Map pictures [B, 3, S, S] of values 0 to 1 to [B, channels, S / stride, S / stride]."""
        features: Tensor = self.body(scaled)
        return features


class DarknetClassifier(Classifier):
    """A network that ends in [avgpool] and [softmax].

    Args:
        layers: all up to [avgpool].
        classes: the answer's columns.
        stride: what the input's sides are multiples of.
    """

    def __init__(self, layers: Sequence[nn.Module], classes: int, stride: int) -> None:
        super().__init__(classes, stride)
        self.body = DarknetLayers(layers)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map RGB pictures [B, 3, S, S], values 0 to 255, to logits [B, classes]: what [softmax] is given."""
        logits: Tensor = self.body(scale_pictures(pictures, self.stride))
        return logits[:, :, 0, 0]


DarknetNetwork = DarknetDetector | DarknetClassifier


def build_network(cfg: Cfg) -> DarknetNetwork:
    """Build the network of a cfg, with random weights; under `torch.device("meta")` without any.

    Raises:
        InvalidCfgError: it holds what cannot be imported, or neither a detector nor a classifier.
    """
    if len(cfg.layers) > MOST_LAYERS:
        raise InvalidCfgError(f"the cfg has {len(cfg.layers)} layers, more than {MOST_LAYERS}")
    kinds = [section.kind for section in cfg.layers]
    if "region" in kinds:
        return _build_detector(cfg, kinds.index("region"))
    if "softmax" in kinds:
        return _build_classifier(cfg, kinds.index("softmax"))
    raise InvalidCfgError("the cfg has neither a [region], as detectors have, nor a [softmax], as classifiers have")


def _build_layers(cfg: Cfg, end: int) -> tuple[list[nn.Module], list[Shape]]:
    """Build the layers before number `end`; the first shape is the input's."""
    size = cfg.input_size()
    shapes, layers = [Shape(3, 1)], []
    for section in cfg.layers[:end]:
        layer, shape = build_layer(section, shapes)
        if shape.channels * (size // shape.stride) ** 2 > LARGEST_OUTPUT:
            raise InvalidCfgError(f"{section}: {shape.channels} channels for an input of {size} px are too many")
        layers.append(layer)
        shapes.append(shape)
    if size % shapes[-1].stride:
        raise InvalidCfgError(f"{cfg.net}: width={size} is not a multiple of {shapes[-1].stride}, as the layers need")
    return layers, shapes


def _build_detector(cfg: Cfg, end: int) -> DarknetDetector:
    region = cfg.layers[end]
    if end + 1 < len(cfg.layers):
        raise InvalidCfgError(f"{cfg.layers[end + 1]}: comes after [region], which must be the last layer")
    anchors, classes = _region(region)
    layers, shapes = _build_layers(cfg, end)
    last = layers[-1] if layers else None
    if not isinstance(last, Convolution) or last.leaky or last.normalisation or last.convolution.kernel_size != (1, 1):
        raise InvalidCfgError(
            f"{region}: needs a [convolutional] before it, with size=1, activation=linear and no batch_normalize"
        )
    needed = len(anchors) * (BOX_CHANNELS + classes)
    if shapes[-1].channels != needed:
        raise InvalidCfgError(
            f"{cfg.layers[end - 1]}: filters={shapes[-1].channels}, but [region] needs {needed}, "
            f"num={len(anchors)} times 5 and classes={classes}"
        )
    return DarknetDetector(layers[:-1], shapes[-2].channels, anchors, classes, shapes[-1].stride)


def _region(section: Section) -> tuple[list[tuple[float, float]], int]:
    """Return the anchors and the number of classes of [region]."""
    boxes = section.integer("num", 1, least=1, most=1000)
    numbers = section.numbers("anchors")
    if len(numbers) != 2 * boxes or not all(0 < number < 1e6 for number in numbers):
        raise InvalidCfgError(f"{section}: num={boxes} needs {2 * boxes} positive numbers in anchors")
    if section.integer("coords", COORDINATES) != COORDINATES or section.integer("background", 0):
        raise InvalidCfgError(f"{section}: only coords=4 and background=0 can be imported")
    if not section.integer("softmax", 0) and section.text("tree") is None:
        raise InvalidCfgError(f"{section}: only classes with softmax=1 or a tree can be imported")
    anchors = list(zip(numbers[::2], numbers[1::2], strict=True))
    return anchors, section.integer("classes", 20, least=1)


def _build_classifier(cfg: Cfg, end: int) -> DarknetClassifier:
    softmax = cfg.layers[end]
    for section in cfg.layers[end + 1 :]:
        if section.kind not in CLASSIFIER_ENDS:
            raise InvalidCfgError(f"{section}: comes after [softmax], where only [cost] may stand")
    if softmax.integer("groups", 1) != 1 or (softmax.numbers("temperature") or (1.0,)) != (1.0,):
        raise InvalidCfgError(f"{softmax}: only groups=1 and temperature=1 can be imported")
    layers, shapes = _build_layers(cfg, end)
    if not layers or not isinstance(layers[-1], AveragePool):
        raise InvalidCfgError(f"{softmax}: needs an [avgpool] before it")
    return DarknetClassifier(layers, shapes[-1].channels, shapes[-1].stride)

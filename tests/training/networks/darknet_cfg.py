"""What darknet's cfg files say of a network, and what a network of ours really runs, in one form."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from training.networks.parts.layers import ConvolutionBatchNormLeaky, darknet_convolutions

FOLDER = Path("/usr/share/darknet/cfg")
needs_darknet = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs Debian's package darknet, for its cfg files")

Options = dict[str, str]


class Layer(NamedTuple):
    """A layer at work: side is its output grid's; normalised means batch norm and leaky, else linear."""

    kind: str
    channels_in: int
    channels_out: int
    kernel: int
    side: int
    normalised: bool

    @property
    def flop(self) -> int:
        if self.kind != "convolutional":
            return 0
        return 2 * self.side**2 * self.channels_in * self.channels_out * self.kernel**2


def read_sections(name: str) -> list[tuple[str, Options]]:
    """Return a cfg file's sections, [net] first, each its name and its options."""
    sections: list[tuple[str, Options]] = []
    for line in (FOLDER / f"{name}.cfg").read_text().splitlines():
        text = line.split("#")[0].strip()
        if text.startswith("["):
            sections.append((text.strip("[]"), {}))
        elif text:
            key, value = text.split("=", 1)
            sections[-1][1][key.strip()] = value.strip()
    return sections


def read_layers(name: str, size: int) -> list[Layer]:
    """Return the convolutions and maxpools of a cfg file at an input of `size` px, in order."""
    layers = []
    outputs = [(3, size)]  # channels and side after each section; the first is the picture
    for kind, options in read_sections(name)[1:]:
        channels, side = outputs[-1]
        if kind == "convolutional":
            normalised = options.get("batch_normalize") == "1"
            assert options["activation"] == ("leaky" if normalised else "linear")
            assert (options["stride"], options["pad"]) == ("1", "1")
            layer = Layer(kind, channels, int(options["filters"]), int(options["size"]), side, normalised)
            layers.append(layer)
            channels = layer.channels_out
        elif kind == "maxpool":
            assert (options["size"], options["stride"]) == ("2", "2")
            side //= 2
            layers.append(Layer(kind, channels, channels, 2, side, normalised=False))
        elif kind == "route":
            routed = [outputs[int(place)] for place in options["layers"].split(",")]
            channels, side = sum(each for each, _ in routed), routed[0][1]
        elif kind == "reorg":
            channels, side = channels * int(options["stride"]) ** 2, side // int(options["stride"])
        outputs.append((channels, side))
    return layers


def read_anchors(name: str) -> list[list[float]]:
    """Return the anchors of a cfg file's [region]."""
    numbers = [float(number) for number in read_sections(name)[-1][1]["anchors"].split(",")]
    return [numbers[place : place + 2] for place in range(0, len(numbers), 2)]


def run_layers(network: nn.Module, size: int) -> list[Layer]:
    """Return the convolutions and maxpools a network on the meta device runs for one picture, in order."""
    layers = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        channels_in, channels_out = inputs[0].shape[1], output.shape[1]
        assert output.shape[2] == output.shape[3]
        kind, kernel = "maxpool", 2
        if isinstance(module, nn.MaxPool2d):
            assert (module.kernel_size, module.stride) == (2, 2)
        else:
            convolution = module.convolution if isinstance(module, ConvolutionBatchNormLeaky) else module
            assert isinstance(convolution, nn.Conv2d)
            assert convolution.stride == (1, 1)
            assert convolution.groups == 1
            kind, kernel = "convolutional", convolution.kernel_size[0]
        normalised = isinstance(module, ConvolutionBatchNormLeaky)
        layers.append(Layer(kind, channels_in, channels_out, kernel, output.shape[2], normalised))

    pools = [module for module in network.modules() if isinstance(module, nn.MaxPool2d)]
    handles = [module.register_forward_hook(record) for module in [*darknet_convolutions(network), *pools]]
    answer: Any = getattr(network, "dense", network)
    answer(torch.empty(1, 3, size, size, device="meta"))
    for handle in handles:
        handle.remove()
    return layers


def table(text: str) -> list[Layer]:
    """Read lines `channels_in channels_out kernel side`; kernel 2 is a maxpool, `linear` the last layer."""
    layers = []
    for line in text.strip().splitlines():
        numbers = line.split()
        channels_in, channels_out, kernel, side = (int(number) for number in numbers[:4])
        kind = "maxpool" if kernel == 2 else "convolutional"
        normalised = kernel != 2 and "linear" not in numbers
        layers.append(Layer(kind, channels_in, channels_out, kernel, side, normalised))
    return layers

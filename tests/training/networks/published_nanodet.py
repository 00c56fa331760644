"""Made-up weights of the shapes and names that NanoDet-g's are published under, and its graph written plainly."""

import torch
from torch import Tensor
from torch.nn import functional as F

from training.networks.backbones.nanodet import Neck, Trunk

OUTPUTS = 80 + 4 * 11


def made_up_weights(seed: int = 0) -> dict[str, Tensor]:
    """Return random weights that keep the scale of what passes through them."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {**Trunk().state_dict(), **Neck().state_dict()}
    for grid in range(3):
        for name, channels in ((f"hid.{grid}", 128), (f"obj.{grid}", 1)):
            shapes |= {f"{name}.weight": torch.empty(channels, 128, 1, 1), f"{name}.bias": torch.empty(channels)}
    shapes |= {f"output{stride}.weight": torch.empty(OUTPUTS, 128, 1, 1) for stride in (8, 16, 32)}
    shapes |= {f"output{stride}.bias": torch.empty(OUTPUTS) for stride in (8, 16, 32)}
    weights = {}
    for name, like in shapes.items():
        deviation = (2 / like[0].numel()) ** 0.5 if like.ndim > 1 else 0.1
        weights[name] = torch.randn(like.shape, generator=generator) * deviation
    return weights


def published_answers(weights: dict[str, Tensor], pictures: Tensor) -> list[Tensor]:
    """Return the outputs and the objectness [B, 125, H, W] of RGB pictures [B, 3, S, S], written plainly."""

    def convolve(name: str, x: Tensor, stride: int = 1, *, linear: bool = False) -> Tensor:
        weight = weights[f"{name}.weight"]
        y = F.conv2d(x, weight, weights[f"{name}.bias"], stride, weight.shape[-1] // 2)
        return y if linear else F.leaky_relu(y, 0.1)

    def stage(name: str, x: Tensor, pairs: int, stride: int) -> Tensor:
        kept = y = convolve(f"{name}.first", x, stride)
        for pair in range(pairs):
            u = convolve(f"{name}.pairs.{pair}.0", y)
            y = torch.cat((convolve(f"{name}.pairs.{pair}.1", u), u), 1)
        return torch.cat((convolve(f"{name}.last", y), kept), 1)

    def resize(x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)

    bgr = pictures.flip(1)
    mean = torch.tensor([103.53, 116.28, 123.675]).view(1, 3, 1, 1)
    scale = torch.tensor([57.375, 57.12, 58.395]).view(1, 3, 1, 1)
    x = F.max_pool2d(convolve("stem", (bgr - mean) / scale, 2), 3, 2, 1)
    x = stage("stage4", x, 1, 1)
    eight = stage("stage8", x, 2, 2)
    sixteen = stage("stage16", eight, 2, 2)
    deep = stage("stage32", sixteen, 3, 2)
    eight, sixteen, deep = (
        convolve(f"lateral{stride}", each, linear=True)
        for stride, each in zip((8, 16, 32), (eight, sixteen, deep), strict=True)
    )
    middle = sixteen + resize(deep, sixteen)
    fine = eight + resize(middle, eight)
    middle = middle + resize(fine, middle)
    coarse = deep + resize(middle, deep)
    maps = [convolve("head8", fine), convolve("head16", middle), convolve("head32", coarse)]
    return [
        torch.cat(
            (
                convolve(f"output{stride}", x, linear=True),
                convolve(f"obj.{grid}", convolve(f"hid.{grid}", x), linear=True),
            ),
            1,
        )
        for grid, (stride, x) in enumerate(zip((8, 16, 32), maps, strict=True))
    ]

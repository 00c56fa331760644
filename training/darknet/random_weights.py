"""Weights that nobody trained, for measurements and trials of networks of full size."""

import torch
from torch import nn

from training.darknet.network import DarknetDetector
from training.darknet.weights import parts
from training.networks.parts.region_head import BOX_CHANNELS


def random_weights(network: nn.Module) -> None:
    """Fill a network: convolutions have He's initialisation already, batch norms get statistics like trained ones."""
    with torch.no_grad():
        for part in parts(network):
            if part.name in {"scales", "rolling variances"}:
                part.tensor.uniform_(0.5, 1.5)
            elif part.name != "weights":
                part.tensor.normal_(0, 0.1)


def spread_answers(detector: DarknetDetector, pictures: torch.Tensor) -> None:
    """Scale the head so that boxes are of many sizes, some with high objectness, and classes mostly clear.

    Args:
        detector: changed in place.
        pictures: [B, 3, S, S], values 0 to 255, that it is judged by.
    """
    deviations = torch.tensor([1.0, 1.0, 0.4, 0.4, 2.0, *[6.0] * detector.classes])
    with torch.no_grad():
        raw = detector.eval().dense(pictures)
        rows = raw.transpose(0, 1).flatten(1)
        scale = deviations.repeat(len(detector.anchors)) / rows.std(dim=1).clamp(min=1e-6)
        convolution = detector.head.convolution
        convolution.weight.mul_(scale[:, None, None, None])
        convolution.bias.sub_(rows.mean(dim=1)).mul_(scale)
        assert convolution.weight.shape[0] == len(detector.anchors) * (BOX_CHANNELS + detector.classes)

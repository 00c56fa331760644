"""A trainer of a network so small that whole runs take a blink."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tests.training.sources import source
from training.data.augmentation.augment import AugmentConfiguration
from training.data.batches import Batch, Examples
from training.data.mixture import Mixture
from training.data.pictures.picture import LabelOnlyPicture
from training.runs.computing import LoopConfiguration
from training.runs.optimization import OptimizerConfiguration
from training.runs.processes import Processes
from training.runs.trainer import StepLoss, Trainer
from training.runs.watch import Watch

STEPS = 12
SETTINGS = OptimizerConfiguration(
    steps=STEPS, batch=3, learning_rate=0.05, pretrained_learning_rate=0.01, warmup=3, average_decay=0.9
)
NEVER = LoopConfiguration(workers=0, precision="float32", checkpoint_every=1e9)
Check = Callable[[int, Tensor], Tensor]


class Network(nn.Module):
    """A convolution in channels-last order, a norm with running statistics, a frozen and two trained layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv2d(3, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.last = nn.Linear(4, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.norm(self.first(pictures.permute(0, 3, 1, 2).float() / 255)).relu().mean((2, 3))
        result: Tensor = self.last(self.frozen(x))
        return result


def noise(folder: Path) -> Mixture:
    """Write seven pictures of noise, with labels."""
    random = np.random.default_rng(0)
    for number in range(7):
        Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8)).save(folder / f"{number}.png")
    return noise_of(folder)


def noise_of(folder: Path) -> Mixture:
    """Return what `noise` wrote."""
    pictures = [LabelOnlyPicture(folder / f"{number}.png", number % 2) for number in range(7)]
    return Mixture([source("noise", pictures)], np.arange(2), AugmentConfiguration(), seed=2)


def make_trainer(
    mixture: Examples,
    folder: Path,
    *,
    settings: OptimizerConfiguration = SETTINGS,
    loop: LoopConfiguration = NEVER,
    check: Check = lambda _, loss: loss,
    processes: Processes | None = None,
    watch: Watch | None = None,
) -> Trainer:
    """Return a trainer; `check` sees, and may change, the loss of a step."""
    network = Network()

    def loss(batch: Batch, seen: int) -> StepLoss:
        with loop.autocast(batch.pictures.device):
            answer = network(batch.pictures)[:, 0].float()
        error = (answer - batch.targets.class_only_nodes).square().mean()
        return StepLoss(check(seen // settings.batch, error), {"error": error})

    folder.mkdir(exist_ok=True)

    def peak_rate(name: str) -> float:
        return settings.pretrained_learning_rate if name.startswith("first") else settings.learning_rate

    return Trainer(
        network=network,
        peak_rate=peak_rate,
        loss=loss,
        mixture=mixture,
        sizes=(16, 32),
        optimizer=settings,
        loop=loop,
        folder=folder,
        state={"tree": "oak"},
        processes=processes,
        watch=watch,
    )

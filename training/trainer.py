"""The training loop: mixed precision, exponential moving average, checkpoints, a stop at any moment and a resume."""

import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from torch import Tensor, nn
from tqdm import tqdm

from training.checkpoint import (
    AVERAGE_PREFIX,
    NETWORK_PREFIX,
    InvalidCheckpointError,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
    tensors_of,
)
from training.data.batches import Batch, Mixture, Stream, load_batches

LOG_EVERY: Final = 50


class OptimizerConfiguration(BaseModel):
    """AdamW with a linear warm-up and half a cosine; pre-trained parameters move more slowly than new ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: PositiveInt = Field(6000, description="steps to train for; each takes one batch")
    batch: PositiveInt = Field(16, description="pictures in a batch")
    learning_rate: PositiveFloat = Field(1e-3, description="peak learning rate of new parameters")
    pretrained_learning_rate: PositiveFloat = Field(2e-4, description="peak learning rate of pre-trained parameters")
    class_learning_rate: PositiveFloat = Field(5e-5, description="peak learning rate of the class layer")
    weight_decay: float = Field(5e-4, ge=0, description="AdamW's decay of weights; biases and norms have none")
    warmup: PositiveInt = Field(200, description="steps over which the learning rate rises from 0 to its peak")
    final_fraction: float = Field(0.01, ge=0, le=1, description="last learning rate as a part of the peak, 0 to 1")
    largest_gradient: PositiveFloat = Field(20.0, description="all gradients together are clipped to this L2 norm")
    average_decay: float = Field(
        0.999, ge=0, lt=1, description="part of the moving average of the weights that each step keeps, 0 to 1"
    )


class LoopConfiguration(BaseModel):
    """How a run is carried out; nothing here changes what is learned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: int = Field(1, ge=0, description="processes that prepare pictures; 0: the one that trains does it itself")
    threads: int = Field(0, ge=0, description="CPU threads of a training step; 0: as many as torch chooses")
    bfloat16: bool = Field(True, description="compute convolutions in bfloat16 instead of float32")
    checkpoint_every: PositiveFloat = Field(120.0, description="seconds between two checkpoints")


class StepLoss(NamedTuple):
    """What is minimised and its parts, by name, for the log."""

    total: Tensor
    parts: dict[str, Tensor]


class Trainer:
    """Trains a network on a mixture.

    Args:
        network: what is trained.
        peak_rate: the peak learning rate of the parameter of a name.
        loss: the loss of a batch, given the pictures seen before it.
        mixture: the pictures.
        sizes: input sizes to train at, px.
        optimizer, loop: see there.
        folder: where checkpoints and the log go; it exists.
        state: what a checkpoint shall carry besides, JSON-able.
    """

    def __init__(
        self,
        network: nn.Module,
        peak_rate: Callable[[str], float],
        loss: Callable[[Batch, int], StepLoss],
        mixture: Mixture,
        sizes: tuple[int, ...],
        optimizer: OptimizerConfiguration,
        loop: LoopConfiguration,
        folder: Path,
        state: dict[str, Any],
    ) -> None:
        self.network, self.loss, self.mixture, self.sizes = network, loss, mixture, sizes
        self.settings, self.loop, self.folder, self.state = optimizer, loop, folder, state
        self.trained = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
        self.optimizer = torch.optim.AdamW(_groups(self.trained, peak_rate, optimizer))
        self.step = 0
        self.reset_average()

    def reset_average(self) -> None:
        """Start the moving average from the network as it is."""
        self.average = {key: value.clone() for key, value in self.network.state_dict().items()}

    def resume(self) -> None:
        """Go on where the folder's checkpoint stopped.

        Raises:
            InvalidCheckpointError: there is none, it is damaged, or it is another network's.
        """
        tensors, state = load_checkpoint(self.folder)
        try:
            self.network.load_state_dict(tensors_of(tensors, AVERAGE_PREFIX))
            self.reset_average()
            self.network.load_state_dict(tensors_of(tensors, NETWORK_PREFIX))
        except RuntimeError as error:
            raise InvalidCheckpointError(
                f"{self.folder}: the checkpoint's weights are another network's; resume with the run's own network"
            ) from error
        load_optimizer(self.optimizer, self.trained, tensors)
        self.step = state["step"]

    def save(self) -> None:
        """Write a checkpoint."""
        names: dict[Tensor, str] = {value: name for name, value in self.trained}
        tensors = optimizer_tensors(self.optimizer, names)
        tensors |= {f"{NETWORK_PREFIX}{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {f"{AVERAGE_PREFIX}{key}": value for key, value in self.average.items()}
        save_checkpoint(self.folder, tensors, {"step": self.step, **self.state})

    def run(self) -> bool:
        """Train to the last step, or until SIGINT or SIGTERM; return whether the last step was reached.

        Either way the folder then holds a checkpoint of the last step taken.

        Raises:
            FloatingPointError: the loss or its gradient is not finite; the last checkpoint stays as it was.
            InvalidDatasetError: a picture cannot be used; likewise.
        """
        if self.loop.threads:
            torch.set_num_threads(self.loop.threads)
        stream = Stream(
            len(self.mixture),
            self.settings.batch,
            self.sizes,
            self.mixture.seed,
            self.step,
            self.settings.steps,
        )
        saved = time.monotonic()
        meter = Meter()
        self.network.train()
        with (
            stop_on_signal() as stopped,
            (self.folder / "log.jsonl").open("a") as log,
            tqdm(total=self.settings.steps, initial=self.step, unit="step", mininterval=5) as bar,
        ):
            for batch in load_batches(self.mixture, stream, self.loop.workers):
                parts = self._train(batch)
                self.step += 1
                bar.update()
                meter.add(parts, len(batch.pictures))
                if self.step % LOG_EVERY == 0:
                    entry = {"step": self.step, **meter.means()}
                    log.write(json.dumps(entry) + "\n")
                    log.flush()
                    bar.set_postfix({key: f"{value:.3g}" for key, value in entry.items() if key != "step"})
                if stopped():
                    break
                if time.monotonic() - saved > self.loop.checkpoint_every:
                    self.save()
                    saved = time.monotonic()
            self.save()
        return self.step >= self.settings.steps

    def _train(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step."""
        rate = learning_rate_factor(self.step, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        total, parts = self.loss(batch, self.step * self.settings.batch)
        self._check_finite("loss", total)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_([value for _, value in self.trained], self.settings.largest_gradient)
        self._check_finite("norm of the gradient", norm)
        self.optimizer.step()
        self._update_average()
        return {"loss": total.detach(), **{key: value.detach() for key, value in parts.items()}}

    def _check_finite(self, what: str, value: Tensor) -> None:
        if not bool(torch.isfinite(value)):
            raise FloatingPointError(
                f"the {what} is {value.item()} at step {self.step}; the last checkpoint in {self.folder} is as it "
                f"was before: go on from it with lower learning rates"
            )

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the averaged weights; the first steps count more, so that the average forgets the start."""
        decay = min(self.settings.average_decay, (1 + self.step) / (10 + self.step))
        for key, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - decay)
            else:
                self.average[key].copy_(value)


class Meter:
    """Means of what was logged, and the pictures a second, since it was last emptied."""

    def __init__(self) -> None:
        self._empty()

    def _empty(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps, self._pictures, self._start = 0, 0, time.monotonic()

    def add(self, parts: dict[str, Tensor], pictures: int) -> None:
        """Count one step."""
        for key, value in parts.items():
            self._sums[key] = self._sums.get(key, 0.0) + value.item()
        self._steps += 1
        self._pictures += pictures

    def means(self) -> dict[str, float]:
        """Return the means and empty the meter."""
        result = {key: round(value / self._steps, 5) for key, value in self._sums.items()}
        result["pictures_per_second"] = round(self._pictures / (time.monotonic() - self._start), 2)
        self._empty()
        return result


def learning_rate_factor(step: int, settings: OptimizerConfiguration) -> float:
    """Return the part of the peak learning rate at a step: a linear warm-up, then half a cosine."""
    warm = min(1.0, (step + 1) / settings.warmup)
    progress = min(1.0, step / settings.steps)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return warm * (settings.final_fraction + (1 - settings.final_fraction) * cosine)


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM to a question: was a stop asked for? A second signal acts as usual."""
    asked = False
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, handle)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _groups(
    parameters: list[tuple[str, nn.Parameter]],
    peak_rate: Callable[[str], float],
    settings: OptimizerConfiguration,
) -> list[dict[str, Any]]:
    """Sort parameters by learning rate and weight decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, value in parameters:
        rate = peak_rate(name)
        decay = settings.weight_decay if value.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(value)
    return [
        {"params": values, "peak": rate, "lr": rate, "weight_decay": decay} for (rate, decay), values in groups.items()
    ]

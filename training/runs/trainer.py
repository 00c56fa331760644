"""The training loop: mixed precision, exponential moving average, checkpoints, a stop at any moment and a resume."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from tqdm import tqdm

from training.command_line import ConfigurationError
from training.data.batches import Batch, BatchSampler, Examples, load_batches
from training.data.formats.detection_set import InvalidDatasetError
from training.data.process_sampler import ProcessSampler
from training.files import replace_file
from training.runs.computing import LEAST_LOSS_SCALE, LoopConfiguration
from training.runs.freezing import set_training_mode
from training.runs.log import Meter, RunLog
from training.runs.optimization import OptimizerConfiguration, build_optimizer, learning_rate_factor
from training.runs.processes import Processes, without_sharing
from training.runs.saving import Saver
from training.runs.stopping import stop_on_signal
from training.runs.watch import Watch
from training.targets import Targets
from training.weights.checkpoint import (
    AVERAGE_PREFIX,
    NETWORK_PREFIX,
    InvalidCheckpointError,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    tensors_of,
)
from training.weights.run_folder import BEST, CONFIGURATION, TREE

LOG_EVERY: Final = 50
WATCH: Final = "validation"
"""What a checkpoint's state has of the validations so far, and what their scores are logged under."""
SCALER: Final = "scaler"
"""What a checkpoint's state has of the scale of a float16 run's loss."""


class StepLoss(NamedTuple):
    """What is minimised and its parts, by name, for the log; means over the pictures of a batch or of a part of it."""

    total: Tensor
    parts: dict[str, Tensor]


Loss = Callable[[Batch, int], StepLoss]


class _Objective(nn.Module):
    """A network and its loss as one module: what processes share gradients of has to be called as a whole."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch: Batch, seen: int) -> StepLoss:
        return self.loss(batch, seen)


class Trainer:
    """Trains a network on a mixture.

    Args:
        network: what is trained, on the device of the loop.
        peak_rate: the peak learning rate of the parameter of a name.
        loss: the loss of a batch, given the pictures seen before it.
        mixture: the pictures.
        sizes: input sizes to train at, px.
        optimizer, loop: see there.
        folder: where checkpoints and the log go; it exists.
        state: what a checkpoint shall carry besides, JSON-able.
        processes: that share every batch.
        watch: scores the averaged weights now and then, keeps the best, and may end the run; None: nobody does.

    Raises:
        ConfigurationError: a batch has fewer pictures than parts.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        peak_rate: Callable[[str], float],
        loss: Loss,
        mixture: Examples,
        sizes: tuple[int, ...],
        optimizer: OptimizerConfiguration,
        loop: LoopConfiguration,
        folder: Path,
        state: dict[str, Any],
        processes: Processes | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.network, self.loss, self.mixture, self.sizes = network, loss, mixture, sizes
        self.loop, self.folder, self.state, self.watch = loop, folder, state, watch
        self.settings = optimizer.for_pictures(len(mixture))
        self.processes = processes or Processes()
        if self.settings.batch < self.processes.count * self.settings.accumulate:
            raise ConfigurationError(
                f"optimizer.batch: {self.settings.batch} pictures cannot be shared by {self.processes.count} processes "
                f"in {self.settings.accumulate} parts each"
            )
        self.trained = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
        self.device = self.trained[0][1].device
        self.optimizer = build_optimizer(self.trained, peak_rate, self.settings)
        self.scaler = loop.scaler(self.device)
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
        if SCALER in state:
            self.scaler.load_state_dict(state[SCALER])
        self.step = state["step"]
        if self.watch is not None and WATCH in state:
            self.watch.resume(state[WATCH])

    def save(self, saver: Saver) -> None:
        """Begin to write a checkpoint."""
        names: dict[Tensor, str] = {value: name for name, value in self.trained}
        tensors = optimizer_tensors(self.optimizer, names)
        tensors |= {f"{NETWORK_PREFIX}{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {f"{AVERAGE_PREFIX}{key}": value for key, value in self.average.items()}
        state = self._described()
        if self.scaler.is_enabled():
            state[SCALER] = self.scaler.state_dict()
        saver.save(self.folder, tensors, state)

    def save_best(self, saver: Saver) -> None:
        """Begin to write the averaged weights, and what else it takes to export them, into a folder of their own."""
        folder = self.folder / BEST
        folder.mkdir(exist_ok=True)
        for name in (CONFIGURATION, TREE):
            if (self.folder / name).is_file():
                replace_file(folder / name, (self.folder / name).read_bytes())
        tensors = {f"{AVERAGE_PREFIX}{key}": value for key, value in self.average.items()}
        saver.save(folder, tensors, self._described())
        if self.watch is not None:
            self.watch.keep(folder)

    def _described(self) -> dict[str, Any]:
        watch = {} if self.watch is None else {WATCH: self.watch.state()}
        return {"step": self.step, **self.state, **watch}

    def run(self) -> bool:
        """Train to the last step, until patience ends, or until SIGINT or SIGTERM; return whether it was no signal.

        Either way the folder then holds a checkpoint of the last step taken. Of several processes the first writes;
        all stop after the same step.

        Raises:
            FloatingPointError: the loss or its gradient is not finite; the last checkpoint stays as it was.
            InvalidDatasetError: pictures of a batch cannot be used; it names them. The steps before are saved.
        """
        ended = self._exhausted()
        if ended:
            return True
        objective = self.objective()
        writes = self.processes.first
        saved = time.monotonic()
        meter = Meter(self.processes)
        set_training_mode(self.network, fixed_statistics=self.settings.fixed_statistics)
        with (
            stop_on_signal() as stopped,
            Saver() as saver,
            self._log() as log,
            tqdm(total=self.settings.steps, initial=self.step, unit="step", mininterval=5, disable=not writes) as bar,
        ):
            for batch in self._usable_batches(saver):
                parts = self.take_step(objective, batch)
                self.step += 1
                bar.update()
                meter.add(parts, self.settings.batch)
                if self.step % LOG_EVERY == 0:
                    values = {**meter.means(), "learning_rate": self.optimizer.param_groups[0]["lr"]}
                    bar.set_postfix({key: f"{value:.3g}" for key, value in values.items()})
                    if log is not None:
                        log.write(self.step, values)
                if self._validate(meter, log, bar, saver):
                    saved = time.monotonic()
                    ended = self.processes.any(self._exhausted(), self.device)
                    if ended:
                        break
                if self.processes.any(stopped(), self.device):
                    break
                if writes and time.monotonic() - saved > self.loop.checkpoint_every:
                    self.save(saver)
                    saved = time.monotonic()
            if writes:
                self.save(saver)
        return ended or self.step >= self.settings.steps

    def _exhausted(self) -> bool:
        return self.watch is not None and self.watch.exhausted

    def _validate(self, meter: Meter, log: RunLog | None, bar: "tqdm[NoReturn]", saver: Saver) -> bool:
        """Score the averaged weights if that is due, and save them if they are the best; return whether it was due."""
        watch = self.watch
        if watch is None or not watch.due(self.step, self.settings.steps):
            return False
        if self.processes.first:
            began = time.monotonic()
            with self.averaged():
                scores = watch.validate()
            better = watch.take(self.step, scores)
            if log is not None:
                log.write(self.step, {f"{WATCH}/{name}": value for name, value in scores.items()})
            if better:
                self.save_best(saver)
            self.save(saver)
            bar.write(watch.sentence(self.step, scores), file=sys.stderr)
            meter.leave_out(time.monotonic() - began)
        return True

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have the network, in evaluation mode, the averaged weights for a while."""
        own = {key: value.clone() for key, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        try:
            yield
        finally:
            self.network.load_state_dict(own)
            set_training_mode(self.network, fixed_statistics=self.settings.fixed_statistics)

    def _log(self) -> RunLog | nullcontext[None]:
        if not self.processes.first:
            return nullcontext()
        return RunLog(self.folder, self.step, tensorboard=self.loop.tensorboard)

    def _usable_batches(self, saver: Saver) -> Iterator[tuple[Batch, ...]]:
        """Yield what is left of the run, see `_batches`; save the steps taken when a picture cannot be used."""
        began = self.step
        try:
            yield from self._batches()
        except InvalidDatasetError as error:
            if self.step == began or not self.processes.first:
                raise
            self.save(saver)
            saver.wait()
            raise InvalidDatasetError(
                f"{error}. The run saved a checkpoint at step {self.step}: continue with --resume"
            ) from error

    def _batches(self) -> Iterator[tuple[Batch, ...]]:
        """Yield what is left of the run: this process's share of each batch, in its parts."""
        settings = self.settings
        stream = BatchSampler(
            self.mixture.items, settings.batch, self.sizes, self.mixture.seed, self.step, settings.steps
        )
        shares = ProcessSampler(stream, self.processes.rank, self.processes.count, settings.accumulate)
        pinned = self.device.type == "cuda"
        parts = load_batches(self.mixture, shares, self.loop.workers, pinned=pinned)
        while batch := tuple(islice(parts, settings.accumulate)):
            yield batch

    def objective(self) -> nn.Module:
        """Return the network and its loss as the module that processes share gradients of."""
        return self.processes.share_gradients(_Objective(self.network, self.loss), self.device)

    def take_step(self, objective: nn.Module, batch: tuple[Batch, ...]) -> dict[str, Tensor]:
        """Take one step on a batch, given in its parts; return this process's losses."""
        rate = learning_rate_factor(self.step, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        self.optimizer.zero_grad(set_to_none=True)
        losses: dict[str, Tensor] = {}
        for number, part in enumerate(batch, start=1):
            with nullcontext() if number == len(batch) else without_sharing(objective):
                total, parts = objective(_to(part, self.device), self.step * self.settings.batch)
                # Every loss is a mean over its pictures, and gradients become the processes' mean: so weighted they
                # are those of the mean over the whole batch.
                weight = len(part.pictures) * self.processes.count / self.settings.batch
                self.scaler.scale(total * weight).backward()
            for name, value in {"loss": total, **parts}.items():
                losses[name] = losses.get(name, 0) + value.detach() * weight
        self._check_finite("loss", losses["loss"])
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_([value for _, value in self.trained], self.settings.largest_gradient)
        if not self.scaler.is_enabled() or self.scaler.get_scale() < LEAST_LOSS_SCALE:
            self._check_finite("norm of the gradient", norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._update_average()
        return losses

    def _check_finite(self, what: str, value: Tensor) -> None:
        if not bool(torch.isfinite(value)):
            raise FloatingPointError(
                f"the {what} is {value.item()} at step {self.step}; the last checkpoint in {self.folder} is as it "
                f"was before: resume from it with lower learning rates"
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


def _to(batch: Batch, device: torch.device) -> Batch:
    targets = Targets(*(value.to(device, non_blocking=True) for value in batch.targets))
    return Batch(batch.pictures.to(device, non_blocking=True), targets)

"""The log of a run: a line of JSON for each entry in log.jsonl, and the same numbers for TensorBoard."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import torch
from torch import Tensor

from training.runs.processes import Processes

FILE: Final = "log.jsonl"
TENSORBOARD: Final = "tensorboard"


class RunLog:
    """A log that goes on where a stopped run's log ends.

    Args:
        folder: of the run.
        step: steps taken so far: TensorBoard forgets what a killed run wrote of later ones.
        tensorboard: write for TensorBoard, too.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool) -> None:
        self._file = (folder / FILE).open("a")
        self._board: Any = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(folder / TENSORBOARD), purge_step=step or None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add an entry."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)


class Meter:
    """Means of what was logged, and the pictures a second, since it was last emptied.

    It adds up where the values are, and asks for them only when the means are wanted: on a GPU every question waits.
    """

    def __init__(self, processes: Processes | None = None) -> None:
        self._processes = processes or Processes()
        self._empty()

    def _empty(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps, self._pictures, self._start = 0, 0, time.monotonic()

    def add(self, parts: dict[str, Tensor], pictures: int) -> None:
        """Count one step: its losses, and its pictures in all processes."""
        for key, value in parts.items():
            self._sums[key] = self._sums.get(key, 0) + value.detach().double()
        self._steps += 1
        self._pictures += pictures

    def leave_out(self, seconds: float) -> None:
        """Do not count some time that was spent on something else."""
        self._start += seconds

    def means(self) -> dict[str, float]:
        """Return the means over the steps and all processes, and empty the meter."""
        means = self._processes.mean(torch.stack(list(self._sums.values()))) / self._steps
        result = {key: round(value, 5) for key, value in zip(self._sums, means.tolist(), strict=True)}
        result["pictures_per_second"] = round(self._pictures / (time.monotonic() - self._start), 2)
        self._empty()
        return result

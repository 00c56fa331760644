"""Checkpoints written beside the training: a step waits only while the tensors are copied."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from training.weights.checkpoint import save_checkpoint

logger = logging.getLogger(__name__)


class Saver:
    """Writes checkpoints in a thread, one after the other, in a `with` block, which ends when the last is written.

    Each is whole or not at all, see `training.weights.checkpoint.save_checkpoint`. There is one copy of the tensors at
    most: who saves again before one is written waits for it.

    Args:
        write: what writes a checkpoint.
    """

    def __init__(self, write: Callable[[Path, dict[str, Tensor], dict[str, Any]], None] = save_checkpoint) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(1, "checkpoint")
        self._last: Future[None] | None = None

    def save(self, folder: Path, tensors: Mapping[str, Tensor], state: dict[str, Any]) -> None:
        """Begin to write a checkpoint of the tensors as they are now.

        Raises:
            OSError: the one before could not be written.
        """
        self.wait()
        copies = {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}
        self._last = self._pool.submit(self._write, folder, copies, state)

    def wait(self) -> None:
        """Wait until the last checkpoint is written.

        Raises:
            OSError: it could not be.
        """
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except OSError as failure:
            if kind is None:
                raise
            logger.warning("the last checkpoint could not be written: %s", failure)
        finally:
            self._pool.shutdown()

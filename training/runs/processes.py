"""The processes of a run that `torchrun` started, each with a share of every batch; by default there is one."""

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

LONGEST_WAIT: Final = timedelta(hours=1)
"""How long a process waits for the others, which read data sets, score the run and write checkpoints meanwhile."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number among all; number 0 writes the log and the checkpoints.
        count: of all.
        local_rank: its number on its machine, which is that of its GPU.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share_gradients(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Return a module whose backward pass leaves the mean of all processes' gradients in each of them."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, device_ids=[device] if device.type == "cuda" else None)

    def any(self, asked: bool, device: torch.device) -> bool:
        """Return whether any process says yes; all of them ask at the same time."""
        if self.count == 1:
            return asked
        answer = torch.tensor(int(asked), device=device)
        dist.all_reduce(answer, dist.ReduceOp.MAX)
        return bool(answer)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over all processes; all of them ask at the same time."""
        if self.count == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total / self.count


def without_sharing(module: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which a module's backward pass only adds to this process's own gradients."""
    if isinstance(module, DistributedDataParallel):
        return module.no_sync()
    return nullcontext()


@contextmanager
def join_processes(device_type: str) -> Iterator[Processes]:
    """Join the other processes that `torchrun` started; without it this process is alone.

    Args:
        device_type: "cpu", on which gloo connects them, or "cuda", on which NCCL does.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    processes = Processes(int(os.environ["RANK"]), count, int(os.environ["LOCAL_RANK"]))
    if not processes.first:
        logging.getLogger().setLevel(logging.WARNING)
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield processes
    finally:
        dist.destroy_process_group()

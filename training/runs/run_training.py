"""How every training run begins and is carried out, whatever it trains."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from model.tree_files import packaged_tree
from model.wordtree import WordTree
from training.runs.computing import LoopConfiguration, use_device
from training.runs.processes import Processes, join_processes
from training.runs.trainer import Trainer
from training.weights.checkpoint import write_whole
from training.weights.run_folder import CONFIGURATION, alone_in, open_run_folder, read_tree_file, save_tree


class RunConfiguration(Protocol):
    """What the configurations of all runs have."""

    @property
    def output(self) -> Path:
        """The run's folder."""

    @property
    def tree(self) -> Path | None:
        """The tree of the labels; None: the packaged one."""

    @property
    def seed(self) -> int:
        """Of every random choice."""

    @property
    def loop(self) -> LoopConfiguration:
        """How it is carried out."""

    @property
    def resume(self) -> bool:
        """Whether it goes on from the folder's checkpoint."""

    def model_dump_json(self, *, indent: int | None = None) -> str:
        """Return all of it as JSON."""


@dataclass(frozen=True, eq=False)
class Run:
    """A run that has begun.

    Attributes:
        configuration: what was asked for.
        processes: that share every batch.
        device: of this one.
        tree: of the labels.
        resumed: the state of the checkpoint it goes on from; None: it starts afresh.
    """

    configuration: RunConfiguration
    processes: Processes
    device: torch.device
    tree: WordTree
    resumed: Mapping[str, Any] | None

    def train(self, trainer: Trainer, check: Callable[[], None] = lambda: None) -> bool:
        """Train; return whether the last step was reached.

        The folder then holds the checkpoint, the log, the tree if it is not the packaged one, and configuration.json,
        which is what was asked for last.

        Args:
            trainer: of this run.
            check: raises where weights that were resumed do not fit.
        """
        if self.resumed is not None:
            trainer.resume()
            check()
        if self.processes.first:
            folder = self.configuration.output
            save_tree(folder, self.tree)
            write_whole(folder / CONFIGURATION, self.configuration.model_dump_json(indent=1))
        return trainer.run()


@contextmanager
def begin_run(configuration: RunConfiguration) -> Iterator[Run]:
    """Join the run's other processes, open its folder, seed torch and read its tree.

    Raises:
        ConfigurationError: the device or the tree is not there.
        FolderInUseError: a fresh start into a folder with a checkpoint, or another run is using it.
        InvalidCheckpointError: there is nothing to resume.
    """
    loop = configuration.loop
    with ExitStack() as stack:
        processes = stack.enter_context(join_processes(loop.choose_device().type))
        resumed = open_run_folder(configuration.output, resume=configuration.resume)
        if processes.first:
            stack.enter_context(alone_in(configuration.output))
        torch.manual_seed(configuration.seed)
        if loop.threads:
            torch.set_num_threads(loop.threads)
        tree = packaged_tree() if configuration.tree is None else read_tree_file(configuration.tree)
        device = loop.choose_device(processes.local_rank)
        use_device(device)
        yield Run(configuration, processes, device, tree, resumed)

"""One of the processes of a small run that `torchrun` starts for `test_processes`.

    torchrun --nproc-per-node 2 -m tests.training.distributed_run PICTURES FOLDER [resume] [EVENT RANK STEP]

EVENT is `stop` (the process asks itself to stop) or `die` (it is killed).
"""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import Tensor

from tests.training.tiny_run import NEVER, SETTINGS, make_trainer, noise_of
from training.runs.processes import Processes, join_processes

EVENTS = {"stop": signal.SIGTERM, "die": signal.SIGKILL}
SHARED = SETTINGS.model_copy(update={"batch": 4, "fixed_statistics": True})
SAVING = NEVER.model_copy(update={"checkpoint_every": 1e-9})


def main(arguments: list[str]) -> int:
    """Run; return 3 where it was stopped."""
    pictures, folder, *rest = arguments
    torch.set_num_threads(1)
    resume = rest[:1] == ["resume"]
    event = rest[resume:]
    with join_processes("cpu") as processes:
        torch.manual_seed(processes.rank)  # must not matter

        def check(step: int, loss: Tensor) -> Tensor:
            if event and [str(processes.rank), str(step)] == event[1:]:
                os.kill(os.getpid(), EVENTS[event[0]])
            return loss

        run = make_trainer(
            noise_of(Path(pictures)), Path(folder), settings=SHARED, loop=SAVING, check=check, processes=processes
        )
        if resume:
            run.resume()
        return 0 if run.run() else 3


def alone(pictures: Path, folder: Path) -> None:
    """The same run in this one process."""
    assert make_trainer(noise_of(pictures), folder, settings=SHARED, loop=SAVING, processes=Processes()).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One of the processes of a small run that `torchrun` starts for `test_processes`.

    torchrun --nproc-per-node 2 -m tests.training.distributed_run PICTURES FOLDER [resume] [EVENT RANK STEP]

EVENT is `stop` (the process asks itself to stop), `die` (it is killed) or `patience` (the scores get no better).
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tests.training.tiny_run import NEVER, SETTINGS, make_trainer, noise_of
from training.runs.processes import Processes, join_processes
from training.runs.watch import Watch

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
            if event[:1] != ["patience"] and event and [str(processes.rank), str(step)] == event[1:]:
                os.kill(os.getpid(), EVENTS[event[0]])
            return loss

        watch = patient(lambda: written(Path(folder), processes)) if event[:1] == ["patience"] else None
        run = make_trainer(
            noise_of(Path(pictures)),
            Path(folder),
            settings=SHARED,
            loop=SAVING,
            check=check,
            processes=processes,
            watch=watch,
        )
        if resume:
            run.resume()
        return 0 if run.run() else 3


def patient(validate: Callable[[], dict[str, float]]) -> Watch:
    """Return a watch every three steps that ends a run when the second score is no better."""
    return Watch(validate, "ap50", 3, 1)


def written(folder: Path, processes: Processes) -> dict[str, float]:
    """Leave a word of who scored; the score is always the same."""
    with (folder / "scored").open("a") as file:
        file.write(f"{processes.rank}\n")
    return {"ap50": 0.5}


def alone(pictures: Path, folder: Path) -> None:
    """The same run in this one process."""
    assert make_trainer(noise_of(pictures), folder, settings=SHARED, loop=SAVING, processes=Processes()).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

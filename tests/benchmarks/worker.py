"""A contender in a process of its own, so that the threads and the memory of one library are not another's.

Started as a program it makes the contender and waits; for each line of standard input it takes a turn and answers
with a line of JSON. Between turns it does nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, TextIO

import numpy as np

from tests.benchmarks.machine import peak_megabytes

Work = Callable[[], object]
"""One call of a contender; if it returns a dictionary, this holds arrays to compare it by."""

ROOT = Path(__file__).parents[2]
TURN_SECONDS = 0.7
"""How long a turn lasts at least; the system's account of processor time is too coarse for shorter ones."""


class ContenderError(RuntimeError):
    """A contender that could not start, or ended."""


class Worker:
    """Speaks to the process. Called, it takes a turn and returns the seconds of one call."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self._processor: list[float] = []

    def __call__(self) -> float:
        """Take a turn."""
        answer = self._ask(seconds=TURN_SECONDS)
        self._processor.append(float(answer["processor"]))
        return float(answer["seconds"])

    @property
    def processor_seconds(self) -> float:
        """Processor time of one call, of all its threads: the middle of the turns'."""
        return median(self._processor)

    @property
    def peak(self) -> float:
        """The most memory the process has had, in MB."""
        return peak_megabytes(self._process.pid)

    def outputs(self, file: Path) -> dict[str, Any]:
        """Call it once and return its arrays."""
        self._ask(save=str(file))
        with np.load(file) as arrays:
            return dict(arrays)

    def wait_until_ready(self) -> None:
        """Wait until it has been made and called once."""
        self._answer()

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{json.dumps(request)}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the reason is in the log
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise ContenderError(last or "it ended without a word")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def working(folder: Path, factory: str, /, *before: str, **arguments: Any) -> Iterator[Worker]:
    """Start a contender, and end it after the block.

    Args:
        folder: for its log.
        factory: "module:function" that makes the contender.
        before: a command to run it with, such as `taskset -c 0`.
        arguments: of the function; JSON.

    Raises:
        ContenderError: it could not be made; the message is the last line of its error.
    """
    log = folder / f"{factory.rpartition(':')[2]}.log"
    command = [*before, sys.executable, "-m", "tests.benchmarks.worker", factory, json.dumps(arguments)]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        worker = Worker(process, log)
        try:
            worker.wait_until_ready()
            yield worker
        finally:
            process.kill()


def turn(work: Work, seconds: float) -> tuple[float, float]:
    """Call a contender for some time, at least once; return the middle of the calls' seconds, and of processor time."""
    taken: list[float] = []
    before = process_time()
    while not taken or sum(taken) < seconds:
        start = perf_counter()
        work()
        taken.append(perf_counter() - start)
    return median(taken), (process_time() - before) / len(taken)


def _serve(work: Work, answers: TextIO) -> None:
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        if "save" in request:
            arrays = work()
            assert isinstance(arrays, dict)
            np.savez(request["save"], **arrays)
        else:
            answer["seconds"], answer["processor"] = turn(work, request["seconds"])
        print(json.dumps(answer), file=answers, flush=True)


def main(factory: str, arguments: str) -> None:
    """Make a contender, call it once, and take turns until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the log
    module, _, name = factory.partition(":")
    work: Work = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    work()
    _serve(work, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])

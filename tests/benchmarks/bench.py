"""What every row of the table is given: files, contenders, rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.files import BenchmarkFiles
from tests.benchmarks.rounds import Contender, Rounds, take_turns
from tests.benchmarks.table import Line
from tests.benchmarks.worker import Worker, working

OURS = "tests.benchmarks.contenders"
PEERS = "tests.benchmarks.peers"


@dataclass(frozen=True)
class Bench:
    """What a row measures with.

    Attributes:
        files: see there.
        folder: for the logs of contenders.
        rounds: how many rounds must count where a round is short.
        quick: try whether everything works: one round, whatever disturbs it.
    """

    files: BenchmarkFiles
    folder: Path
    rounds: int
    quick: bool = False

    def compare(self, contenders: Mapping[str, Contender], rounds: int | None = None) -> Rounds:
        """Let contenders take turns."""
        if self.quick:
            return take_turns(contenders, 1, attempts=1)
        return take_turns(contenders, rounds or self.rounds)

    def start(self, stack: ExitStack, factory: str, /, *before: str, **arguments: Any) -> Worker:
        """Start a contender, run by the command `before` if there is one, that ends with the stack."""
        return stack.enter_context(working(self.folder, factory, *before, **arguments))


Row = Callable[[Bench], list[Line]]


def milliseconds(rounds: Rounds, *names: str) -> str:
    """Say how long contenders took."""
    return ", ".join(f"{name} {1e3 * rounds.median(name):.1f} ms" for name in names) + f"; {rounds.note}"

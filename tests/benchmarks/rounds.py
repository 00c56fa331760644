"""Contenders that take turns, round by round; a round in which others used the machine does not count."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.machine import Disturbance, Usage

PAUSE = 0.05
"""Seconds between two turns, in which the threads of the one before come to rest."""

MOST_ATTEMPTS = 3
"""Rounds that are tried for each that is wanted."""

Contender = Callable[[], float]
"""Takes its turn, and returns what was measured: mostly seconds."""


@dataclass(frozen=True)
class Rounds:
    """What was measured.

    Attributes:
        values: of each contender, in the rounds that count.
        discarded: how many rounds do not.
        disturbed: whether those that count were disturbed as well, as there were no better ones.
    """

    values: Mapping[str, list[float]]
    discarded: int
    disturbed: bool

    def median(self, name: str) -> float:
        """Return the middle of what a contender measured."""
        return median(self.values[name])

    def ratio(self, name: str, other: str) -> float:
        """Return the middle of the rounds' ratios of two contenders."""
        return median(one / two for one, two in zip(self.values[name], self.values[other], strict=True))

    def less(self, name: str, other: str) -> float:
        """Return the middle of the rounds' differences of two contenders."""
        return median(one - two for one, two in zip(self.values[name], self.values[other], strict=True))

    @property
    def note(self) -> str:
        """Say how many rounds count."""
        kept = len(next(iter(self.values.values())))
        if self.disturbed:
            return f"{kept} rounds, DISTURBED by other programs; no better ones in {kept + self.discarded}"
        return f"{kept} rounds" + (f", {self.discarded} discarded" if self.discarded else "")


def take_turns(contenders: Mapping[str, Contender], rounds: int, attempts: int = MOST_ATTEMPTS) -> Rounds:
    """Let contenders take turns until enough rounds count.

    Args:
        contenders: by name. Every other round goes through them backwards, as what comes first may suffer from, or
            enjoy, what ran last.
        rounds: how many must count.
        attempts: after so many times as many the least disturbed are taken.
    """
    tried: list[tuple[Disturbance | None, dict[str, float]]] = []
    good: list[dict[str, float]] = []
    while len(good) < rounds and len(tried) < attempts * rounds:
        order = list(contenders) if len(tried) % 2 == 0 else list(contenders)[::-1]
        before = Usage.now()
        values = {}
        for name in order:
            time.sleep(PAUSE)
            values[name] = contenders[name]()
        disturbance = Disturbance.between(before, Usage.now())
        tried.append((disturbance, values))
        if disturbance is None or not disturbance.much:
            good.append(values)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r  {len(good)} of {rounds} rounds, {len(tried) - len(good)} discarded ")
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    disturbed = len(good) < rounds
    if disturbed:
        good = [values for _, values in sorted(tried, key=lambda one: one[0].sum if one[0] else 0)[:rounds]]
    return Rounds({name: [one[name] for one in good] for name in contenders}, len(tried) - len(good), disturbed)

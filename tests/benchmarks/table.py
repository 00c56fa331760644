"""The table of results, and the file it is written to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MET, MISSED, SKIPPED, TOLD, BEYOND = "met", "MISSED", "skipped", "-", "out of reach"


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        row: which row it belongs to, as the command line names it.
        what: what was compared.
        target: what it should be.
        found: what it was.
        state: `MET`, `MISSED`, `SKIPPED`, `TOLD` where there is no target, or `BEYOND` where no program could meet it
            on this machine.
        note: the figures behind it, and how many rounds they come from.
        headline: the figure in words for who reads no tables; most lines have none.
    """

    row: str
    what: str
    target: str
    found: str
    state: str
    note: str = ""
    headline: str = ""

    @classmethod
    def at_least(
        cls,
        row: str,
        what: str,
        target: float,
        found: float,
        note: str,
        unit: str = "x",
        *,
        limit: float = math.inf,
        headline: str = "",
    ) -> Line:
        """Return a line for a figure that should be large; `limit` is what this machine allows at best."""
        state = MET if found >= target else BEYOND if limit < target else MISSED
        if state == BEYOND:
            note = f"at most {limit:.2f} {unit} here: all processor time of it, spread over all cores; {note}"
        return cls(row, what, f">= {target:g} {unit}", f"{found:.2f} {unit}", state, note, headline)

    @classmethod
    def at_most(
        cls, row: str, what: str, target: float, found: float, note: str, unit: str = "x", *, headline: str = ""
    ) -> Line:
        """Return a line for a figure that should be small."""
        state = MET if found <= target else MISSED
        return cls(row, what, f"<= {target:g} {unit}", f"{found:.2f} {unit}", state, note, headline)

    @classmethod
    def told(cls, row: str, what: str, found: str, note: str, *, headline: str = "") -> Line:
        """Return a line for a figure without a target."""
        return cls(row, what, "", found, TOLD, note, headline)

    @classmethod
    def skipped(cls, row: str, what: str, reason: str) -> Line:
        """Return a line for what could not be measured."""
        return cls(row, what, "", "", SKIPPED, reason)

    @property
    def cells(self) -> tuple[str, ...]:
        return self.row, self.what, self.target, self.found, self.state, self.note


INTRODUCTION = """`make bench` writes this file; `python -m tests.benchmarks.run ROW` runs one row. yolo9000 is
darknet's network at its full size and 544 px with random weights. Ratios are medians of the ratios of single rounds, in
which the contenders took turns; rounds in which other programs used more than 5 % of the processors, or the hypervisor
kept 2 %, do not count, and a figure without enough such rounds says DISTURBED."""

HEADLINES = ("request", "served", "litserve", "darknet", "start")
"""The rows whose figures stand in words before the table, in this order."""

HEADER = ("row", "what", "target", "found", "", "figures")


def markdown(lines: Iterable[Line]) -> str:
    """Return the table as Markdown."""
    rows = [HEADER, ("---",) * len(HEADER), *(line.cells for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def text(line: Line) -> str:
    """Return a line for a terminal."""
    target = f" (target {line.target})" if line.target else ""
    return f"{line.state:7} {line.row}: {line.what}: {line.found}{target}; {line.note}"


def _place(line: Line) -> int:
    return HEADLINES.index(line.row) if line.row in HEADLINES else len(HEADLINES)


def document(machine: Sequence[str], lines: Sequence[Line], seconds: float) -> str:
    """Return all of RESULTS.md."""
    parts = [
        "# What the benchmarks gave",
        "\n".join(f"- {line.headline}" for line in sorted(lines, key=_place) if line.headline),
        INTRODUCTION,
        "\n".join(machine) + f"\nIn full it took {seconds / 60:.0f} minutes.",
        markdown(lines),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"

"""The table of results, and the file it is written to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MET, MISSED, SKIPPED, TOLD = "met", "MISSED", "skipped", "-"


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        row: which row it belongs to, as the command line names it.
        what: what was compared.
        target: what it should be.
        found: what it was.
        state: `MET`, `MISSED`, `SKIPPED`, or `TOLD` where there is no target.
        note: the figures behind it, and how many rounds they come from.
    """

    row: str
    what: str
    target: str
    found: str
    state: str
    note: str = ""

    @classmethod
    def at_least(cls, row: str, what: str, target: float, found: float, note: str, unit: str = "x") -> Line:
        """Return a line for a figure that should be large."""
        return cls(row, what, f">= {target:g} {unit}", f"{found:.2f} {unit}", MET if found >= target else MISSED, note)

    @classmethod
    def at_most(cls, row: str, what: str, target: float, found: float, note: str, unit: str = "x") -> Line:
        """Return a line for a figure that should be small."""
        return cls(row, what, f"<= {target:g} {unit}", f"{found:.2f} {unit}", MET if found <= target else MISSED, note)

    @classmethod
    def told(cls, row: str, what: str, found: str, note: str) -> Line:
        """Return a line for a figure without a target."""
        return cls(row, what, "", found, TOLD, note)

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

HEADER = ("row", "what", "target", "found", "", "figures")


def markdown(lines: Iterable[Line]) -> str:
    """Return the table as Markdown."""
    rows = [HEADER, ("---",) * len(HEADER), *(line.cells for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def text(line: Line) -> str:
    """Return a line for a terminal."""
    target = f" (target {line.target})" if line.target else ""
    return f"{line.state:7} {line.row}: {line.what}: {line.found}{target}; {line.note}"


def document(machine: Sequence[str], lines: Sequence[Line], seconds: float) -> str:
    """Return all of RESULTS.md."""
    parts = [
        "# What the benchmarks gave",
        INTRODUCTION,
        "\n".join(machine) + f"\nIn full it took {seconds / 60:.0f} minutes.",
        markdown(lines),
    ]
    return "\n\n".join(parts) + "\n"

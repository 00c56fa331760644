"""The machine a benchmark runs on: what it is, and who else used its processors meanwhile (Linux)."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Self

import model
from model.providers import usable_cores

MOST_STOLEN = 0.02
"""Share of the processors' time that the hypervisor may keep from us in a round that counts."""

MOST_OTHERS = 0.05
"""Share of the processors' time that other programs may use in a round that counts."""

LIBRARIES = ("numpy", "pillow", "onnxruntime", "torch", "openvino", "opencv-python-headless", "litserve", "uvicorn")

_STEAL = 7  # of the columns of /proc/stat's first line: user nice system idle iowait irq softirq steal
_BUSY = (0, 1, 2, 5, 6)


@dataclass(frozen=True)
class Usage:
    """Processor time since the machine started, in seconds: what the hypervisor stole, all programs, and ours."""

    moment: float
    stolen: float
    busy: float
    ours: float

    @classmethod
    def now(cls) -> Self | None:
        """Read it; None where the system does not tell."""
        try:
            columns = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]))
        except OSError:
            return None
        tick = os.sysconf("SC_CLK_TCK")
        busy = sum(columns[column] for column in _BUSY) / tick
        return cls(monotonic(), columns[_STEAL] / tick, busy, _ticks_of_family(os.getpid()) / tick)


@dataclass(frozen=True)
class Disturbance:
    """What others took of the processors during a round, as parts of all the time they had."""

    stolen: float
    others: float

    @classmethod
    def between(cls, before: Usage | None, after: Usage | None) -> Self | None:
        """Compare two moments; None where the system does not tell."""
        if before is None or after is None:
            return None
        had = (after.moment - before.moment) * (os.cpu_count() or 1)
        others = (after.busy - before.busy) - (after.ours - before.ours)
        return cls(max(0.0, after.stolen - before.stolen) / had, max(0.0, others) / had)

    @property
    def much(self) -> bool:
        """Whether the round should not count."""
        return self.stolen > MOST_STOLEN or self.others > MOST_OTHERS

    @property
    def sum(self) -> float:
        """Both together."""
        return self.stolen + self.others


def _ticks_of_family(process: int) -> int:
    """Return the ticks of a process and its descendants, those that have ended included."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            # The name in parentheses may hold anything; the numbers come after the last of them.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        number = int(folder.name)
        parents[number] = int(fields[1])
        ticks[number] = sum(map(int, fields[11:15]))  # user and system time, own and of children waited for
    children: dict[int, list[int]] = {}
    for number, parent in parents.items():
        children.setdefault(parent, []).append(number)
    family = [process]
    for one in family:
        family += children.get(one, [])
    return sum(ticks.get(number, 0) for number in family)


def processor_seconds(process: int) -> float:
    """Return the processor time that a process and its descendants have used."""
    return _ticks_of_family(process) / os.sysconf("SC_CLK_TCK")


def descendants(process: int) -> list[int]:
    """Return a process and all it has started that run."""
    found = [process]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def peak_megabytes(process: int) -> float:
    """Return the most memory a process has had resident, in MB."""
    return _kilobytes(Path(f"/proc/{process}/status"), "VmHWM") * 1024 / 1e6


def shared_out_megabytes(process: int) -> float:
    """Return what a process and its descendants have resident, in MB; a page that several share counts once."""
    return sum(_kilobytes(Path(f"/proc/{one}/smaps_rollup"), "Pss") for one in descendants(process)) * 1024 / 1e6


def _kilobytes(file: Path, name: str) -> int:
    (number,) = re.findall(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    return int(number)


def description() -> list[str]:
    """Return lines that say what the machine is and which versions were used."""
    cores, load = usable_cores(), ", ".join(f"{one:.2f}" for one in os.getloadavg())
    versions = [f"yolo9000 {model.VERSION}", f"Python {platform.python_version()}"]
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    return [
        f"Machine: {_processor()}, {os.cpu_count()} processors, {cores} cores for us; {platform.platform()}.",
        f"Versions: {', '.join(versions)}.",
        f"Load (1, 5 and 15 minutes) at the start: {load}.",
    ]


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    kinds = [
        kind
        for kind in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
        if re.search(rf"\b{kind}\b", text)
    ]
    return f"{name.group(1) if name else platform.machine()} ({', '.join(kinds)})"

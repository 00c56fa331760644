"""What the checks found: one JSON for programs, one table for people."""

import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from training.files import replacing

Figure = float | int | str | bool
Verdict = Literal["passed", "failed", "not tried"]


class CheckError(Exception):
    """What was to be shown does not hold; the message says what was seen instead."""


class NotTried(Exception):  # noqa: N818 - no error: this machine cannot show it
    """This machine cannot show it; the message says why."""


@dataclass(frozen=True)
class Found:
    """What a check saw.

    Attributes:
        said: one sentence.
        figures: the numbers in it, and others, by name.
    """

    said: str
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a check ended.

    Attributes:
        check: its name.
        verdict: whether it holds.
        said: what was seen, or why nothing was.
        seconds: it took.
        figures: by name.
    """

    check: str
    verdict: Verdict
    said: str
    seconds: float
    figures: Mapping[str, Figure] = field(default_factory=dict)


def carry_out(name: str, check: Callable[[], Found]) -> Outcome:
    """Carry a check out; whatever it raises is its outcome, so that the checks after it are not lost."""
    began = time.monotonic()

    def ended(verdict: Verdict, said: str, figures: Mapping[str, Figure] | None = None) -> Outcome:
        return Outcome(name, verdict, said, round(time.monotonic() - began, 1), figures or {})

    try:
        found = check()
    except NotTried as reason:
        return ended("not tried", str(reason))
    except CheckError as failure:
        return ended("failed", str(failure))
    except Exception as error:  # noqa: BLE001 - a check that breaks has failed
        traceback.print_exc()
        return ended("failed", f"{type(error).__name__}: {error}")
    return ended("passed", found.said, found.figures)


def write_json(path: Path, about: Mapping[str, Figure], outcomes: list[Outcome]) -> None:
    """Write what is known by now; the file is whole at every moment."""
    content = {**about, "checks": [asdict(outcome) for outcome in outcomes]}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


def table(outcomes: list[Outcome]) -> str:
    """Return a row for each check, in Markdown."""
    rows = ["| check | | what was seen | seconds |", "|---|---|---|---|"]
    rows += [
        f"| {outcome.check} | {outcome.verdict} | {outcome.said.replace('|', '/')} | {outcome.seconds:g} |"
        for outcome in outcomes
    ]
    return "\n".join(" ".join(row.split()) for row in rows)

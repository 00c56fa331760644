"""How a run went, as pictures: what was logged over its steps, and which concepts its best weights confuse."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from training.evaluation.confusions import Confusion
from training.evaluation.report import SetReport
from training.files import replace_file
from training.pages.plots import bars
from training.plotting import Figure
from training.runs.log import FILE as LOG
from training.runs.trainer import WATCH
from training.runs.watch import NAMES
from training.weights.run_folder import BEST

RESULTS: Final = "results.png"
CONFUSIONS: Final = "confusions.png"
REPORTS: Final = "validation.json"
"""The scores of the best weights on each set, in their folder."""
ACROSS: Final = 4
MOST: Final = 20
"""Confusions that are shown."""
OTHERS: Final = ("learning_rate", "pictures_per_second")

Entries = Sequence[Mapping[str, float]]
_REPORTS: Final = TypeAdapter(tuple[SetReport, ...])


def keep_reports(folder: Path, reports: tuple[SetReport, ...]) -> None:
    """Write the scores of the best weights into their folder."""
    folder.mkdir(exist_ok=True)
    replace_file(folder / REPORTS, _REPORTS.dump_json(reports, indent=1))


def draw_results(folder: Path) -> tuple[Confusion, ...]:
    """Write the pictures of a run into its folder; return the most frequent confusions of its best weights.

    Each is written only if there is anything to show.
    """
    entries = _entries(folder / LOG)
    if entries:
        replace_file(folder / RESULTS, _png(_curves(entries)))
    reports = folder / BEST / REPORTS
    if not reports.is_file():
        return ()
    found = [one for report in _REPORTS.validate_json(reports.read_bytes()) for one in report.confusions]
    confusions = tuple(sorted(found, key=lambda one: -one.count)[:MOST])
    if confusions:
        replace_file(folder / CONFUSIONS, _png(_bars(confusions)))
    return confusions


def _entries(log: Path) -> Entries:
    """Return what was logged, by step; what a killed run logged of steps that were taken again counts once."""
    found: dict[int, dict[str, float]] = {}
    last = 0
    for line in log.read_text().splitlines() if log.is_file() else ():
        try:
            entry = json.loads(line)
            step = int(entry["step"])
        except (ValueError, TypeError, KeyError):  # a run that was killed may leave half a line
            continue
        if step < last:
            found = {one: values for one, values in found.items() if one < step}
        found.setdefault(step, {}).update(entry)
        last = step
    return [found[step] for step in sorted(found)]


def _curves(entries: Entries) -> Figure:
    """Plot every score and loss over the steps; a loss together with what it was in validation."""
    keys = dict.fromkeys(key for entry in entries for key in entry if key != "step")
    scores = [key for key in (f"{WATCH}/{name}" for name in NAMES if name != "loss") if key in keys]
    losses = [key for key in keys if key not in OTHERS and not key.startswith(f"{WATCH}/")]
    if not losses and f"{WATCH}/loss" in keys:
        losses = ["loss"]
    shown = [*scores, *losses, *(key for key in OTHERS if key in keys)]
    across = min(ACROSS, len(shown))
    figure = Figure(figsize=(4 * across, 3 * -(-len(shown) // across)), layout="constrained")
    for number, key in enumerate(shown, start=1):
        axes = figure.add_subplot(-(-len(shown) // across), across, number)
        name = key.removeprefix(f"{WATCH}/")
        for source, label in ((name, "training"), (f"{WATCH}/{name}", "validation")):
            points = [(entry["step"], entry[source]) for entry in entries if source in entry]
            if points:
                steps, values = zip(*points, strict=True)
                axes.plot(steps, values, marker="." if len(points) < 50 else "", label=label)
        axes.set(title=NAMES.get(name, name.replace("_", " ")), xlabel="step")
        axes.grid(visible=True, alpha=0.3)
        if name == "loss":
            axes.legend()
    return figure


def _bars(confusions: Sequence[Confusion]) -> Figure:
    """Plot how many objects of one concept were called another."""
    named = [(f"{one.truth_name} called {one.said_name}", one.count) for one in confusions]
    figure, _ = bars(named, xlabel="objects", title="Most frequent confusions in validation")
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()

"""An evaluation as one HTML file that needs nothing else: tables, plots, and the best and worst pictures."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from training.evaluation.html_report import plots
from training.evaluation.report import Report, SetReport
from training.pages.html import Drawing, document, figure, row, table

NOTE = """All shares are percentages. AP50 and AP: COCO's average precision. lineage: share of matched boxes whose
path contains the true concept. VOC 11, VOC area, ImageNet: mean average precision by these rules. expanded: labels and
answers with all their ancestors. boxed, unboxed: AP50 of categories with and without boxes in training. calibration:
expected error of path probabilities. best at: the objectness threshold with the best F1."""


class Drawings(NamedTuple):
    """The best and the worst pictures of a set."""

    best: Sequence[Drawing]
    worst: Sequence[Drawing]


def page(report: Report, drawings: Sequence[Drawings]) -> str:
    """Return the page; `drawings` has an entry for each of the report's sets."""
    title = f"Evaluation of {report.model.name} {report.model.version}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>SHA-256 {escape(report.model.sha256)}; tree {escape(report.model.tree)}</p>",
        *(table(rows) for rows in report.tables()),
        f"<p>{escape(NOTE)}</p>",
    ]
    for one, drawn in zip(report.sets, drawings, strict=True):
        parts.append(f"<h2>{escape(one.name)}</h2>{row(_plots(one))}")
        if one.confusions:
            parts.append(f"<h3>Most frequent confusions</h3>{table(one.confusions_table())}")
        for heading, pictures in (("Best pictures", drawn.best), ("Worst pictures", drawn.worst)):
            if pictures:
                parts.append(f"<h3>{heading}</h3>{row(list(map(figure, pictures)))}")
    settings = "".join(
        f"<tr><td>{escape(key)}</td><td>{escape(str(value))}</td></tr>" for key, value in report.configuration.items()
    )
    parts.append(f"<h2>Settings</h2><table>{settings}</table>")
    return document(title, parts)


def _plots(one: SetReport) -> list[str]:
    found = []
    if one.matched:
        if one.calibration is not None:
            found.append(plots.reliability(one.calibration))
        found.append(plots.specificity(one.specificity))
        found += [plots.depths(report.depths, report.hierarchy_threshold) for report in one.depths]
    if one.categories:
        found.append(plots.categories([(category.name, category.ap50) for category in one.categories]))
    return [f"<figure>{svg}</figure>" for svg in found]

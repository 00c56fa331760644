"""An evaluation as one HTML file that needs nothing else: tables, plots, and the best and worst pictures."""

import base64
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from training.evaluation.html_report import plots
from training.evaluation.report import Report, SetReport

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .2rem .7rem; text-align: right }
th:first-child, td:first-child { text-align: left } tr { border-bottom: 1px solid #ddd }
.row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start }
figure { margin: 0; max-width: 30rem } figcaption { font-size: 13px; color: #555 }
img, svg { max-width: 100%; height: auto }
"""

NOTE = """All shares are percentages. AP50 and AP: COCO's average precision. lineage: share of matched boxes whose
path contains the true concept. VOC 11, VOC area, ImageNet: mean average precision by these rules. expanded: labels and
answers with all their ancestors. boxed, unboxed: AP50 of categories with and without boxes in training. calibration:
expected error of path probabilities. best at: the objectness threshold with the best F1."""


class Drawing(NamedTuple):
    """A picture with boxes drawn in: a JPEG file, and what is said of it."""

    jpeg: bytes
    caption: str


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
        *(_table(rows) for rows in report.tables()),
        f"<p>{escape(NOTE)}</p>",
    ]
    for one, drawn in zip(report.sets, drawings, strict=True):
        parts.append(f"<h2>{escape(one.name)}</h2><div class=row>{''.join(_plots(one))}</div>")
        if one.confusions:
            parts.append(f"<h3>Most frequent confusions</h3>{_table(one.confusions_table())}")
        for heading, pictures in (("Best pictures", drawn.best), ("Worst pictures", drawn.worst)):
            if pictures:
                parts.append(f"<h3>{heading}</h3><div class=row>{''.join(map(_figure, pictures))}</div>")
    settings = "".join(
        f"<tr><td>{escape(key)}</td><td>{escape(str(value))}</td></tr>" for key, value in report.configuration.items()
    )
    parts.append(f"<h2>Settings</h2><table>{settings}</table>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in body]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


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


def _figure(drawing: Drawing) -> str:
    data = base64.b64encode(drawing.jpeg).decode("ascii")
    caption = escape(drawing.caption)
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )

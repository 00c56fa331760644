"""HTML that needs nothing else: one file holds its style, its plots and its pictures."""

import base64
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .2rem .7rem; text-align: right }
th:first-child, td:first-child { text-align: left } tr { border-bottom: 1px solid #ddd }
.row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start }
figure { margin: 0; max-width: 30rem } figcaption { font-size: 13px; color: #555 }
img, svg { max-width: 100%; height: auto }
"""


class Drawing(NamedTuple):
    """A picture with boxes drawn in: a JPEG file, and what is said of it."""

    jpeg: bytes
    caption: str


def document(title: str, parts: Sequence[str]) -> str:
    """Return a page of these parts."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first row is its head."""
    head, *body = rows
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in body]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def listed(items: Sequence[str]) -> str:
    """Return a list with a point for each item."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def figure(drawing: Drawing) -> str:
    """Return a drawing with its caption."""
    data = base64.b64encode(drawing.jpeg).decode("ascii")
    caption = escape(drawing.caption)
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )


def row(figures: Sequence[str]) -> str:
    """Return figures side by side."""
    return f"<div class=row>{''.join(figures)}</div>"

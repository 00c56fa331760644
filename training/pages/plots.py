"""Plots as SVG that an HTML page can hold."""

import io
from collections.abc import Sequence

from training.plotting import Axes, Figure, mpl


def plot(height: float = 3.4) -> tuple[Figure, Axes]:
    """Return an empty plot, `height` inches high."""
    figure = Figure(figsize=(4.6, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, alpha=0.3)
    return figure, axes


def bars(named: Sequence[tuple[str, float]], **labels: object) -> tuple[Figure, Axes]:
    """Return a plot with a bar for each name, the first at the top; `labels` are axes' properties, as `xlabel`."""
    figure, axes = plot(height=1 + 0.16 * max(len(named), 4))
    axes.barh(range(len(named)), [value for _, value in named])
    # parse_math: what is between two dollar signs of a name is no formula.
    axes.set_yticks(range(len(named)), [name for name, _ in named], fontsize=7, parse_math=False)
    axes.invert_yaxis()
    axes.set(**labels)
    return figure, axes


def svg(figure: Figure) -> str:
    """Return a plot as an SVG element."""
    buffer = io.StringIO()
    # A fixed salt and no date: equal figures give equal files.
    with mpl.rc_context({"svg.hashsalt": "plot", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]

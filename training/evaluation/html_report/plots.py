"""Plots of an evaluation, as SVG that an HTML page can hold."""

from collections.abc import Sequence

from training.evaluation.hierarchy import Calibration, CurvePoint, DepthAccuracy
from training.pages.plots import bars, plot, svg

MOST_CATEGORIES = 60


def reliability(found: Calibration) -> str:
    """Plot the share that was right against the probability that was given."""
    figure, axes = plot()
    known = [(one.mean_probability or 0.0, one.right or 0.0) for one in found.bins if one.count]
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="honest")
    axes.plot([given for given, _ in known], [right for _, right in known], marker="o", label="this model")
    axes.set(xlabel="probability given", ylabel="share right", title="Calibration of path probabilities")
    axes.legend()
    return svg(figure)


def specificity(points: Sequence[CurvePoint]) -> str:
    """Plot how often labels are right against how much they say."""
    figure, axes = plot()
    known = [(one.information or 0.0, one.accuracy or 0.0) for one in points]
    axes.plot([said for said, _ in known], [right for _, right in known], marker=".")
    for one, place in list(zip(points, known, strict=True))[::5]:
        axes.annotate(f"{one.hierarchy_threshold:g}", place, fontsize=8)
    axes.set(xlabel="information of labels, 0 to 1", ylabel="share right", title="Right or specific, by threshold")
    return svg(figure)


def depths(rows: Sequence[DepthAccuracy], threshold: float) -> str:
    """Plot, for every depth, the shares of labels that are right, stopped above, or wrong."""
    figure, axes = plot()
    places = [one.depth for one in rows]
    totals = [one.right + one.stopped + one.wrong for one in rows]
    bottom = [0.0] * len(rows)
    for name, colour in (("right", "tab:green"), ("stopped", "tab:gray"), ("wrong", "tab:red")):
        shares = [getattr(one, name) / total for one, total in zip(rows, totals, strict=True)]
        axes.bar(places, shares, bottom=bottom, label=name, color=colour)
        bottom = [low + share for low, share in zip(bottom, shares, strict=True)]
    axes.set(xlabel="depth in the tree", ylabel="share", title=f"Lineage by depth, walked at {threshold:g}")
    axes.legend()
    return svg(figure)


def categories(named: Sequence[tuple[str, float]]) -> str:
    """Plot AP50 of each category, the best first; of many only the best and the worst."""
    shown = sorted(named, key=lambda one: -one[1])
    title = "Categories"
    if len(shown) > MOST_CATEGORIES:
        title = f"The {MOST_CATEGORIES // 2} best and worst of {len(shown)} categories"
        shown = [*shown[: MOST_CATEGORIES // 2], *shown[-MOST_CATEGORIES // 2 :]]
    figure, _ = bars(shown, xlabel="AP50", xlim=(0, 1), title=title)
    return svg(figure)

"""Plots are SVG, whatever the names, and the same for the same scores."""

from defusedxml.ElementTree import fromstring

from training.evaluation.hierarchy import Calibration, CalibrationBin, CurvePoint, DepthAccuracy
from training.evaluation.html_report import plots

HOSTILE = "<script>&$x_{$$ \\frac{"


def test_every_plot_is_svg() -> None:
    bins = tuple(
        CalibrationBin(
            low=0, high=0.5, count=count, mean_probability=0.3 if count else None, right=0.2 if count else None
        )
        for count in (0, 3)
    )
    curve = [CurvePoint(hierarchy_threshold=step / 9, accuracy=0.5, information=0.4, depth=3) for step in range(10)]
    drawn = [
        plots.reliability(Calibration(bins=bins, expected_error=0.1)),
        plots.specificity(curve),
        plots.depths([DepthAccuracy(depth=0, right=1, stopped=2, wrong=3)], 0.5),
        plots.categories([(HOSTILE, 0.5), ("dog", 0.25)]),
    ]
    for svg in drawn:
        assert fromstring(svg).tag.endswith("svg")
        assert "<script" not in svg
    assert plots.specificity(curve) == drawn[1]


def test_of_many_categories_the_best_and_worst_are_shown() -> None:
    text = plots.categories([(f"c{number}", number / 100) for number in range(62)])
    shown = [number for number in range(62) if f"<!-- c{number} -->" in text]  # what matplotlib drew as outlines
    assert shown == [*range(30), *range(32, 62)]

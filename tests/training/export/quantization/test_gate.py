from collections.abc import Sequence

import pytest

from training.evaluation.lineage import LineageAccuracy
from training.evaluation.report import SetReport
from training.export.quantization.gate import fallen


def report(ap50: float | None, right: Sequence[int] = (50, 50)) -> SetReport:
    lineage = tuple(
        LineageAccuracy(hierarchy_threshold=threshold, exact=exact, more_specific=0, ancestor=0, wrong=100 - exact)
        for threshold, exact in zip((0.5, 0.0), right, strict=True)
    )
    return SetReport(
        name="val", pictures=1, boxes=100, ap50=ap50, ap=0, recall=0, matched=100, lineage=lineage, categories=()
    )


def test_scores_may_fall_as_far_as_allowed_and_rise() -> None:
    assert fallen(report(0.5), report(0.4901), 0.01) == []
    assert fallen(report(0.5, (50, 50)), report(0.6, (49, 60)), 0.0101) == []


def test_any_score_that_falls_further_is_named() -> None:
    assert fallen(report(0.5), report(0.48), 0.01) == ["val: AP50 fell from 50.0 to 48.0"]
    assert fallen(report(0.5, (50, 50)), report(0.5, (48, 50)), 0.01) == [
        "val: lineage accuracy at 0.5 fell from 50.0 to 48.0"
    ]
    assert len(fallen(report(0.5, (50, 50)), report(0.1, (10, 10)), 0.01)) == 3


@pytest.mark.parametrize(("before", "falls"), [(0.0, 1), (None, 0)])
def test_a_score_that_is_gone_has_fallen(before: float | None, falls: int) -> None:
    assert len(fallen(report(before), report(None), 0.01)) == falls

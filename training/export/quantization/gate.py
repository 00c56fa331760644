"""What a quantised file must not lose: AP50 and lineage accuracy on sets that were not trained on."""

from __future__ import annotations

from collections.abc import Sequence

from model.runtime import OnnxDetector
from training.data.formats.detection_set import DetectionSet
from training.evaluation.evaluator import evaluate_set
from training.evaluation.inference import Rules
from training.evaluation.report import SetReport


class AccuracyGate:
    """Compares a file's scores with those of the file it was made of.

    Attributes:
        before: the scores of the latter.
    """

    def __init__(self, detector: OnnxDetector, sets: Sequence[DetectionSet], rules: Rules, most_fall: float) -> None:
        """Score the original.

        Args:
            detector: the original.
            sets: at least one, read with its tree.
            rules: how a model is run.
            most_fall: how much a score may fall, as a share: .01 is a point.
        """
        self._sets, self._rules, self._most_fall = sets, rules, most_fall
        self.before = [self._scored(detector, one) for one in sets]

    def judge(self, detector: OnnxDetector) -> tuple[list[SetReport], list[str]]:
        """Score a file, and say what fell too far: a sentence each. After the first such set no more are scored."""
        reports: list[SetReport] = []
        for before, one in zip(self.before, self._sets, strict=True):
            reports.append(self._scored(detector, one))
            falls = fallen(before, reports[-1], self._most_fall)
            if falls:
                return reports, falls
        return reports, []

    def _scored(self, detector: OnnxDetector, detection_set: DetectionSet) -> SetReport:
        return evaluate_set(detector, detection_set, self._rules, progress=True)[0]


def scores(report: SetReport) -> dict[str, float | None]:
    """Return what the gate looks at, by name."""
    lineage = {f"lineage accuracy at {one.hierarchy_threshold:g}": one.accuracy for one in report.lineage}
    return {"AP50": report.ap50, **lineage}


def fallen(before: SetReport, after: SetReport, most_fall: float) -> list[str]:
    """Say which scores fell by more than that; one that there was and no longer is has fallen."""
    found = []
    for (name, old), new in zip(scores(before).items(), scores(after).values(), strict=True):
        if old is not None and (new is None or new < old - most_fall):
            now = "nothing" if new is None else f"{100 * new:.1f}"
            found.append(f"{before.name}: {name} fell from {100 * old:.1f} to {now}")
    return found

"""What an evaluation found, as a JSON document and as a table for people."""

import json
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from training.evaluation.confusions import Confusion
from training.evaluation.hierarchy import Calibration, CurvePoint, DepthAccuracy
from training.evaluation.lineage import LineageAccuracy

Share = Annotated[float, Field(ge=0, le=1)]


MODEL_CARD_SCORES: Final = ("pictures", "boxes", "ap50", "ap", "recall", "matched", "lineage")
"""What a model file keeps of each set's scores; curves and tables stay in the report."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CategoryReport(_Record):
    """One category of a set.

    Attributes:
        wnid, name: which; the name is the set's.
        boxes: number of labelled boxes, crowds aside.
        trained: whether the model was trained on this node; it scores nothing where it was not.
        had_boxes: whether it had boxes of this node, or of one beneath, in training; None where that is not known.
        ap50, ap: average precision at IOU .5, and the mean over IOU .50 to .95.
    """

    wnid: str
    name: str
    boxes: int
    trained: bool
    had_boxes: bool | None = None
    ap50: Share
    ap: Share


class SharedScores(_Record):
    """A mean over some categories: how many, and their mean average precision at IOU .5; None over none."""

    categories: int
    ap50: Share | None


class ThresholdReport(_Record):
    """The objectness threshold with the best F1, whatever the categories, and what it gives at IOU .5."""

    threshold: Share
    precision: Share
    recall: Share
    f1: Share


class DepthReport(_Record):
    """Lineage accuracy at each depth, walked at one hierarchy threshold."""

    hierarchy_threshold: float
    depths: tuple[DepthAccuracy, ...]


class PicturesReport(_Record):
    """Pictures of a single labelled thing: what the best detection of each says of it.

    Attributes:
        name: the folder's.
        pictures: their number.
        nothing: pictures without a detection.
        lineage: of the others, one entry a hierarchy threshold.
    """

    name: str
    pictures: int
    nothing: int
    lineage: tuple[LineageAccuracy, ...]


class SetReport(_Record):
    """One detection set; a share is None where there was nothing to take it of.

    Attributes:
        name: the set's.
        pictures: number of pictures.
        boxes: number of labelled boxes, crowds aside.
        ap50, ap: means over the categories.
        recall: share of the labelled boxes found, whatever their category, by the 100 boxes of a picture with
            the highest objectness that are left after suppression among all; IOU .5.
        matched: number of labelled boxes that `lineage` speaks of.
        lineage: how right the walked labels are, one entry a hierarchy threshold.
        categories: those that have a labelled box, in the order of the tree.
        voc_eleven_points, voc_area: VOC's mean average precision, as until 2009 and since 2010.
        imagenet: mean average precision by the rule of ImageNet's detection challenge.
        expanded: boxes labelled with all ancestors of their label and answers for all nodes of their paths, as Open
            Images does; the mean is over categories and ancestors, by VOC's area.
        with_boxes, without_boxes: AP50 over the categories that had boxes in training, and over those that had none.
        best_objectness: see there.
        depths: lineage accuracy by depth, one entry a hierarchy threshold.
        calibration: of the probabilities along the paths of matched boxes.
        specificity: how much labels say and how often they are right, by hierarchy threshold.
        confusions: the most frequent ones, of the answers at the model file's thresholds.
    """

    name: str
    pictures: int
    boxes: int
    ap50: Share | None
    ap: Share | None
    recall: Share | None
    matched: int
    lineage: tuple[LineageAccuracy, ...]
    categories: tuple[CategoryReport, ...]
    voc_eleven_points: Share | None = None
    voc_area: Share | None = None
    imagenet: Share | None = None
    expanded: SharedScores | None = None
    with_boxes: SharedScores | None = None
    without_boxes: SharedScores | None = None
    best_objectness: ThresholdReport | None = None
    depths: tuple[DepthReport, ...] = ()
    calibration: Calibration | None = None
    specificity: tuple[CurvePoint, ...] = ()
    confusions: tuple[Confusion, ...] = ()

    def confusions_table(self) -> tuple[tuple[str, ...], ...]:
        """Return the confusions as a table; the first row is its head."""
        rows = [(one.truth_name, one.said_name, str(one.count), f"{one.probability:.2f}") for one in self.confusions]
        return ("truth", "said", "objects", "probability"), *rows


class ModelReport(_Record):
    """Which model was evaluated: name, version, the tree's digest, the file's SHA-256."""

    name: str
    version: str
    tree: str
    sha256: str


class Report(_Record):
    """An evaluation: of which model, with what configuration, and what came out."""

    model: ModelReport
    configuration: dict[str, JsonValue]
    sets: tuple[SetReport, ...]
    pictures: tuple[PicturesReport, ...] = ()

    def tables(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """Return the scores as tables, shares in percent; the first row of each is its head."""
        scores: list[tuple[str, ...]] = [
            ("set", "pictures", "boxes", "categories", "untrained", "AP50", "AP", "recall")
        ]
        lineage: list[tuple[str, ...]] = [
            ("set", "walked at", "matched", "lineage", "exact", "more specific", "ancestor", "wrong")
        ]
        others: list[tuple[str, ...]] = [
            ("set", "VOC 11", "VOC area", "ImageNet", "expanded", "boxed", "unboxed", "calibration", "best at", "F1")
        ]
        for report in self.sets:
            untrained = sum(not category.trained for category in report.categories)
            counts = (report.pictures, report.boxes, len(report.categories), untrained)
            shares = (report.ap50, report.ap, report.recall)
            scores.append((report.name, *map(str, counts), *map(_percent, shares)))
            others.append((report.name, *_others(report)))
            for walked in report.lineage:
                found = _percent(report.matched / report.boxes if report.boxes else None)
                lineage.append((report.name, f"{walked.hierarchy_threshold:g}", found, *_parts(walked)))
        for pictures in self.pictures:
            found = _percent(1 - pictures.nothing / pictures.pictures if pictures.pictures else None)
            lineage += [
                (pictures.name, f"{walked.hierarchy_threshold:g}", found, *_parts(walked))
                for walked in pictures.lineage
            ]
        return tuple(scores), tuple(lineage), tuple(others)

    def table(self) -> str:
        """Return the tables as text."""
        return "\n\n".join(_aligned(rows) for rows in self.tables())


def _others(report: SetReport) -> tuple[str, ...]:
    groups = (report.expanded, report.with_boxes, report.without_boxes)
    best, honesty = report.best_objectness, report.calibration
    shares = (
        report.voc_eleven_points,
        report.voc_area,
        report.imagenet,
        *(None if group is None else group.ap50 for group in groups),
        None if honesty is None else honesty.expected_error,
    )
    threshold, f1 = ("-", "-") if best is None else (f"{best.threshold:.3f}", _percent(best.f1))
    return (*map(_percent, shares), threshold, f1)


def _parts(walked: LineageAccuracy) -> tuple[str, ...]:
    counts = (walked.exact, walked.more_specific, walked.ancestor, walked.wrong)
    total = sum(counts)
    return (_percent(walked.accuracy), *(_percent(count / total if total else None) for count in counts))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def card_scores(reports: Sequence[SetReport]) -> dict[str, JsonValue]:
    """Return what a model card keeps of the scores of each set."""
    return {
        found.name: {
            **json.loads(found.model_dump_json(include=set(MODEL_CARD_SCORES))),
            "categories": {category.wnid: round(category.ap50, 3) for category in found.categories},
        }
        for found in reports
    }

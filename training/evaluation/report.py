"""What an evaluation found, as a JSON document and as a table for people."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from training.evaluation.lineage import LineageAccuracy

Share = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CategoryReport(_Record):
    """One category of a set.

    Attributes:
        wnid, name: which; the name is the set's.
        boxes: number of labelled boxes, crowds aside.
        trained: whether the model was trained on this node; it scores nothing where it was not.
        ap50, ap: average precision at IOU .5, and the mean over IOU .50 to .95.
    """

    wnid: str
    name: str
    boxes: int
    trained: bool
    ap50: Share
    ap: Share


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

    def table(self) -> str:
        """Return the scores as two tables of text, shares in percent."""
        scores: list[tuple[str, ...]] = [
            ("set", "pictures", "boxes", "categories", "untrained", "AP50", "AP", "recall")
        ]
        lineage: list[tuple[str, ...]] = [
            ("set", "walked at", "matched", "lineage", "exact", "more specific", "ancestor", "wrong")
        ]
        for report in self.sets:
            untrained = sum(not category.trained for category in report.categories)
            counts = (report.pictures, report.boxes, len(report.categories), untrained)
            shares = (report.ap50, report.ap, report.recall)
            scores.append((report.name, *map(str, counts), *map(_percent, shares)))
            for walked in report.lineage:
                parts = (walked.exact, walked.more_specific, walked.ancestor, walked.wrong)
                lineage.append(
                    (
                        report.name,
                        f"{walked.hierarchy_threshold:g}",
                        _percent(report.matched / report.boxes if report.boxes else None),
                        _percent(walked.accuracy),
                        *(_percent(part / report.matched if report.matched else None) for part in parts),
                    )
                )
        return f"{_aligned(scores)}\n\n{_aligned(lineage)}"


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

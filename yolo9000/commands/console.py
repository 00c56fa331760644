"""What `yolo9000 detect`, `classes` and `settings` do and print."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.contract.errors import ServiceError, service_error
from app.contract.schemas import ClassDetail, ClassSummary, Concept, DetectionResult, Problem
from app.engine.captions import label_text
from app.engine.drawing import PictureFormat, annotated_file
from app.engine.pipeline import Question, answer, preprocess
from app.http.serializers import detection_result
from app.load_settings import SettingValue
from model.pictures.errors import PictureError
from model.runtime import OnnxDetector
from yolo9000.commands.sources import Source

FORMATS: dict[str, PictureFormat] = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
"""What a picture is saved as, by the ending of its name."""

NOTHING = "(nothing found)"

Row = Sequence[str]


class SaveError(ValueError):
    """Pictures cannot be saved as asked; the message says why in one sentence."""


@dataclass(frozen=True)
class Look:
    """What came of one picture: a result or a problem."""

    picture: str
    result: DetectionResult | Problem

    @property
    def problem(self) -> Problem | None:
        """Why the picture could not be looked at, if so."""
        return self.result if isinstance(self.result, Problem) else None

    def as_json(self) -> str:
        """Return one line of JSON: the file's name beside the `result` or the `error`."""
        kind = "result" if self.problem is None else "error"
        return json.dumps(
            {"picture": self.picture, kind: self.result.model_dump(mode="json", exclude_none=True)},
            ensure_ascii=False,
        )

    def rows(self) -> Iterator[Row]:
        """Return the table's rows: picture, label, score, box and path of each object."""
        if isinstance(self.result, Problem):
            return
        if not self.result.detections:
            yield self.picture, NOTHING, "", "", ""
        for found in self.result.detections:
            edges = (found.box.x1, found.box.y1, found.box.x2, found.box.y2)
            box = " ".join(f"{edge:.0f}" for edge in edges)
            label = label_text(found.label.name, [(other.name, other.probability) for other in found.alternatives])
            yield self.picture, label, f"{found.score:.2f}", box, path_text(found.path)


HEADER: Row = ("picture", "label", "score", "box (x1 y1 x2 y2)", "path")
CLASS_HEADER: Row = ("wnid", "name", "trained", "children", "descendants", "definition")


def look_at(
    detector: OnnxDetector, source: Source, question: Question, max_pixels: int, save: Path | None = None
) -> Look:
    """Find the objects in a picture, and save the annotated picture if a place is given."""
    try:
        data = source.read()
        found = answer(detector, partial(preprocess, data, question.size, max_pixels), question)
        if save is not None:
            picture_format = FORMATS[save.suffix.lower()]
            write(annotated_file(data, found.detections, detector.tree, picture_format, max_pixels), source, save)
    except (PictureError, ServiceError) as error:
        return Look(source.name, service_error(error).problem())
    except OSError as error:
        return Look(source.name, inaccessible(source, error))
    return Look(source.name, detection_result(found, detector))


def write(annotated: bytes, source: Source, path: Path) -> None:
    """Write a picture's annotated file."""
    if len(source.saved_as.parts) > 1:  # of a folder within the folder that was given
        path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(annotated)


def inaccessible(source: Source, error: OSError) -> Problem:
    """Say that a picture could not be read, or that what was drawn could not be written."""
    place = "" if error.filename in {None, source.name} else f"{error.filename}: "
    return Problem(type="about:blank", title="Not accessible", status=400, detail=f"{place}{error.strerror or error}")


def save_paths(pictures: Sequence[Source], save: Path | None) -> list[Path | None]:
    """Return where each annotated picture goes: `save` itself, or a file in it if it is a folder.

    Several pictures need a folder, which is made if it is missing.

    Raises:
        SaveError: the name says neither JPEG nor PNG, or a file would be written twice or over a picture.
    """
    if save is None:
        return [None] * len(pictures)
    if len(pictures) == 1 and not save.is_dir():
        if save.suffix.lower() not in FORMATS:
            raise SaveError(f"cannot save as {save}: its name must end in {', '.join(FORMATS)}")
        targets = [save]
    else:
        if save.exists() and not save.is_dir():
            raise SaveError(f"{save} is a file; several pictures are saved in a folder")
        targets = [save / f"{picture.saved_as}.jpg" for picture in pictures]
    if len(set(targets)) < len(targets):
        raise SaveError("two of the pictures have the same name and would be saved over one another")
    sources = {picture.path.resolve() for picture in pictures if picture.path is not None}
    for target in targets:
        if target.resolve() in sources:
            raise SaveError(f"saving would overwrite the picture {target}")
    if targets != [save]:
        save.mkdir(parents=True, exist_ok=True)
    return list(targets)


def class_row(item: ClassSummary) -> Row:
    """Return the table's row of a concept."""
    trained = "yes" if item.trained else "no"
    return item.wnid, item.name, trained, str(item.children), str(item.descendants), item.definition


def class_text(detail: ClassDetail) -> str:
    """Describe a concept in a few lines, with the concepts directly below it as a table."""
    lines = [f"{detail.wnid}  {detail.name}", f"path: {path_text(detail.path)}"]
    if detail.synonyms:
        lines.append(f"synonyms: {', '.join(detail.synonyms)}")
    if detail.definition:
        lines.append(f"definition: {detail.definition}")
    lines.append(f"trained: {'yes' if detail.trained else 'no'}{_answered_as(detail)}")
    if detail.children:
        lines += ["", table([CLASS_HEADER, *map(class_row, detail.children)])]
    return "\n".join(lines)


def _answered_as(detail: ClassDetail) -> str:
    """Return what answers instead of a concept that no answer ends at."""
    if detail.answered_by is None:
        return "; never an answer"
    other = detail.answered_by
    return "" if other.wnid == detail.wnid else f"; a picture of it is at best answered as {other.name} ({other.wnid})"


def settings_text(settings: Sequence[SettingValue]) -> str:
    """Set the settings in a table; an asterisk marks what is not left at its default."""
    rows = [
        (f"{'*' if setting.given else ' '} {setting.variable}", _cell(setting.value), _cell(setting.default))
        for setting in settings
    ]
    meanings = [setting.description for setting in settings]
    header: Row = ("  variable", "value", "default")
    return table([(*row, meaning) for row, meaning in zip([header, *rows], ["meaning", *meanings], strict=True)])


def settings_json(settings: Sequence[SettingValue]) -> str:
    """Return the settings as a JSON object, by variable."""
    return json.dumps(
        {
            setting.variable: {
                "value": setting.value,
                "default": setting.default,
                "given": setting.given,
                "description": setting.description,
            }
            for setting in settings
        },
        indent=2,
    )


def _cell(value: object) -> str:
    """Write a setting's value; what is not set is a dash."""
    if isinstance(value, list):
        value = ",".join(map(str, value))
    return "-" if value is None or value == "" else str(value)


def path_text(path: Sequence[Concept]) -> str:
    """Return the names from the root to the label."""
    return " > ".join(step.name for step in path)


def table(rows: Sequence[Row]) -> str:
    """Set rows of equal length in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)

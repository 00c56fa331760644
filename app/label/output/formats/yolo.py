"""YOLO's text files as Ultralytics has them (docs.ultralytics.com, "Object Detection Datasets Overview")."""

import json
from collections.abc import Iterable

from app.label.output.formats.archive import picture_files
from app.label.output.formats.labelled import Labelled
from app.label.output.formats.vocabulary import Vocabulary
from model.archives.locations import Location

NAME = "yolo.zip"


def write_yolo(location: Location, pictures: Iterable[Labelled], vocabulary: Vocabulary) -> list[str]:
    """Write `labels/PICTURE.txt` for each picture, and data.yaml; the pictures belong into `images` beside `labels`.

    Returns:
        Sentences about what could not be written.
    """
    with picture_files(location, NAME) as files:
        for picture in pictures:
            place = files.place(picture.name, "labels", ".txt")
            if place is not None:
                files.write(place, "".join(_lines(picture, vocabulary)))
        names = "".join(
            f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for number, name in enumerate(vocabulary.names())
        )
        files.write("data.yaml", f"train: images\nnames:{'' if names else ' {}'}\n{names}")
    return files.left_out.sentences()


def _lines(picture: Labelled, vocabulary: Vocabulary) -> Iterable[str]:
    for row in picture.found:
        x1, x2 = (min(max(row[edge] / picture.width, 0), 1) for edge in ("x1", "x2"))
        y1, y2 = (min(max(row[edge] / picture.height, 0), 1) for edge in ("y1", "y2"))
        number = vocabulary.number(row["wnid"])
        yield f"{number} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"

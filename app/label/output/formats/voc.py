"""PASCAL VOC's XML (VOC2012 development kit, section "Annotation"), as CVAT and others import it."""

import math
from collections.abc import Iterable
from pathlib import PurePosixPath
from xml.sax.saxutils import escape

from app.label.output.formats.archive import picture_files
from app.label.output.formats.labelled import Labelled
from app.label.output.formats.vocabulary import Vocabulary
from model.archives.locations import Location

NAME = "voc.zip"
LIST = "ImageSets/Main/default.txt"


def write_voc(location: Location, pictures: Iterable[Labelled], vocabulary: Vocabulary) -> list[str]:
    """Write `Annotations/PICTURE.xml` for each picture, and the list of them.

    Returns:
        Sentences about what could not be written.
    """
    stems: list[str] = []
    with picture_files(location, NAME) as files:
        for picture in pictures:
            place = files.place(picture.name, "Annotations", ".xml")
            if place is not None:
                files.write(place, _record(picture, vocabulary))
                stem = str(PurePosixPath(picture.name).with_suffix(""))
                stems.append(f'"{stem}"' if " " in stem else stem)  # so CVAT writes and reads such a name
        files.write(LIST, "".join(f"{stem}\n" for stem in stems))
    return files.left_out.sentences()


def _record(picture: Labelled, vocabulary: Vocabulary) -> str:
    lines = [
        "<annotation>",
        f"  <filename>{escape(picture.name)}</filename>",
        f"  <size><width>{picture.width}</width><height>{picture.height}</height><depth>3</depth></size>",
        "  <segmented>0</segmented>",
    ]
    for row in picture.found:
        # Pixels count from 1, and a box holds its last one.
        x1, x2 = _pixels(row["x1"], row["x2"], picture.width)
        y1, y2 = _pixels(row["y1"], row["y2"], picture.height)
        lines += [
            "  <object>",
            f"    <name>{escape(vocabulary.name(row['wnid']))}</name>",
            "    <pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>",
            f"    <bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>",
            "  </object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def _pixels(start: float, end: float, side: int) -> tuple[int, int]:
    """Return the first and the last pixel of a box, from 1 to the picture's side."""
    first = min(max(math.floor(start) + 1, 1), side)
    return first, min(max(math.ceil(end), first), side)

"""CVAT's own XML, "CVAT for images 1.1" (docs.cvat.ai, "XML annotation format")."""

import json
import shutil
from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from app.label.archive.shards import put_text, temporary_file
from app.label.output.formats.archive import LeftOut, why_unusable
from app.label.output.formats.labelled import Labelled
from app.label.output.formats.vocabulary import Vocabulary
from model.archives.locations import Location

NAME, LABELS = "cvat.xml", "cvat-labels.json"


def write_cvat(location: Location, pictures: Iterable[Labelled], vocabulary: Vocabulary) -> list[str]:
    """Write the annotations to upload to a task, and the labels that the task needs before.

    Returns:
        Sentences about what could not be written.
    """
    whole, images, left_out, count = temporary_file(location), temporary_file(location), LeftOut(NAME), 0
    with images.open("w+", encoding="utf-8") as body, whole.open("w", encoding="utf-8") as file:
        for picture in pictures:
            reason = why_unusable(picture.name)
            if reason is not None:
                left_out.add(picture.name, reason)
                continue
            body.write(_image(picture, count, vocabulary))
            count += 1
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        file.write(f"  <meta><task><name>yolo9000</name><size>{count}</size><mode>annotation</mode><labels>\n")
        for name in vocabulary.names():
            file.write(f"    <label><name>{escape(name)}</name><attributes></attributes></label>\n")
        file.write("  </labels></task></meta>\n")
        body.seek(0)
        shutil.copyfileobj(body, file)
        file.write("</annotations>\n")
    images.unlink()
    location.put(whole, NAME)
    labels = [{"name": name, "attributes": []} for name in vocabulary.names()]
    put_text(location, json.dumps(labels, ensure_ascii=False, indent=1) + "\n", LABELS)
    return left_out.sentences()


def _image(picture: Labelled, number: int, vocabulary: Vocabulary) -> str:
    size = f'width="{picture.width}" height="{picture.height}"'
    lines = [f'  <image id="{number}" name={quoteattr(picture.name)} {size}>']
    for row in picture.found:
        edges = " ".join(
            f'{theirs}="{row[ours]:.2f}"'
            for theirs, ours in (("xtl", "x1"), ("ytl", "y1"), ("xbr", "x2"), ("ybr", "y2"))
        )
        label = quoteattr(vocabulary.name(row["wnid"]))
        lines.append(f'    <box label={label} source="auto" occluded="0" {edges} z_order="0"></box>')
    return "\n".join([*lines, "  </image>", ""])

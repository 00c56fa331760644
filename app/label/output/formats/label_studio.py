"""Tasks with predictions for Label Studio (labelstud.io, "Import pre-annotated data")."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from app.label.archive.shards import put_text, temporary_file
from app.label.output.formats.json_list import JsonList
from app.label.output.formats.labelled import Labelled
from app.label.output.formats.vocabulary import Vocabulary
from model.archives.locations import Location, is_url

NAME, CONFIG = "label-studio.json", "label-studio.xml"
LOCAL_FILES = "/data/local-files/?d="
"""How Label Studio serves files of its machine, below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT."""

_RESERVED = re.compile("[%#&+? ]")
"""What means something else in a query. The rest stays: Label Studio's exports name pictures by their addresses."""


def write_label_studio(
    location: Location, pictures: Iterable[Labelled], vocabulary: Vocabulary, source: str, model: str
) -> None:
    """Write the tasks, and the labelling interface that shows them.

    Args:
        location: the output folder.
        pictures: that were labelled.
        vocabulary: of the model's tree.
        source: the folder or URL that the pictures' names are relative to.
        model: what the predictions' model is called.
    """
    temporary = temporary_file(location)
    with temporary.open("w", encoding="utf-8") as file:
        file.write("[")
        tasks = JsonList(file)
        for picture in pictures:
            tasks.add(_task(picture, vocabulary, source, model))
        file.write("\n]\n")
    location.put(temporary, NAME)
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in vocabulary.names())
    config = (
        f'<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <RectangleLabels name="label" toName="image">\n{labels}  </RectangleLabels>\n</View>\n'
    )
    put_text(location, config, CONFIG)


def _task(picture: Labelled, vocabulary: Vocabulary, source: str, model: str) -> dict[str, Any]:
    scores = [row["score"] for row in picture.found]
    prediction = {
        "model_version": model,
        "score": sum(scores) / len(scores) if scores else 0.0,
        "result": [
            _region(row, f"{picture.identity}-{number}", picture, vocabulary)
            for number, row in enumerate(picture.found, start=1)
        ],
    }
    return {"data": {"image": _address(source, picture.name)}, "predictions": [prediction]}


def _region(row: dict[str, Any], identity: str, picture: Labelled, vocabulary: Vocabulary) -> dict[str, Any]:
    across, down = 100 / picture.width, 100 / picture.height
    return {
        "id": identity,
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": picture.width,
        "original_height": picture.height,
        "image_rotation": 0,
        "score": row["score"],
        "value": {
            "rotation": 0,
            "x": row["x1"] * across,
            "y": row["y1"] * down,
            "width": (row["x2"] - row["x1"]) * across,
            "height": (row["y2"] - row["y1"]) * down,
            "rectanglelabels": [vocabulary.name(row["wnid"])],
        },
        "meta": {"text": [row["wnid"], " > ".join(step["name"] for step in row["path"])]},
    }


def _address(source: str, name: str) -> str:
    if is_url(source):
        return f"{source.rstrip('/')}/{name}"
    folder = source.rstrip("/").rpartition("/")[2]
    return LOCAL_FILES + _RESERVED.sub(lambda found: quote(found[0]), f"{folder}/{name}")

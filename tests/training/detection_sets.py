"""Detection sets written for a test: COCO JSON beside PNG pictures of coloured rectangles."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from tests.model_files import COLOURS, tiny_tree


class Drawn(NamedTuple):
    """A rectangle: x, y, width, height in pixels. No colour draws nothing, no label labels nothing."""

    box: tuple[float, float, float, float]
    colour: str | None
    label: str | None
    crowd: bool = False


def write_pictures(
    data: Path, pictures: Sequence[Sequence[Drawn]], *, name: str = "tiny", size: tuple[int, int] = (96, 96)
) -> tuple[Path, Path]:
    """Write a set of pictures, labelled with names of the tiny tree; return annotations and folder."""
    labels = list(dict.fromkeys(drawn.label for picture in pictures for drawn in picture if drawn.label))
    tree = tiny_tree()
    content: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [],
        "categories": [
            {"id": number, "name": label, "wnid": tree.wnids[tree.names.index(label)]}
            for number, label in enumerate(labels, start=1)
        ],
    }
    folder = data / "images" / name
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures, start=7):
        image = Image.new("RGB", size, "white")
        for drawn in picture:
            x, y, width, height = map(int, drawn.box)
            if drawn.colour is not None:
                image.paste(COLOURS[drawn.colour], (x, y, x + width, y + height))
            if drawn.label is not None:
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]),
                        "image_id": number,
                        "category_id": labels.index(drawn.label) + 1,
                        "bbox": list(drawn.box),
                        "iscrowd": int(drawn.crowd),
                    }
                )
        image.save(folder / f"{number}.png")
        content["images"].append({"id": number, "file_name": f"{number}.png", "width": size[0], "height": size[1]})
    return write_annotations(data, content, name=name), folder


def write_annotations(data: Path, content: Mapping[str, Any], *, name: str = "tiny") -> Path:
    """Write annotations as they are given."""
    path = data / "annotations" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path

"""COCO's JSON (cocodataset.org, "data format", object detection)."""

import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from app.label.archive.shards import temporary_file
from app.label.output.formats.json_list import JsonList
from app.label.output.formats.labelled import Labelled
from model.archives.locations import Location
from model.wordtree import WordTree

NAME = "coco.json"


def write_coco(location: Location, pictures: Iterable[Labelled], tree: WordTree) -> None:
    """Write what was found as COCO's JSON.

    Categories are the concepts that occur, by their place in the tree; annotations are as COCO has them, and carry
    `score`, `objectness` and `path` besides.

    Args:
        location: the output folder.
        pictures: that were labelled.
        tree: the model's.
    """
    images, annotations = temporary_file(location), temporary_file(location)
    seen: set[int] = set()
    with ExitStack() as files:
        first = files.enter_context(images.open("w+", encoding="utf-8"))
        second = files.enter_context(annotations.open("w+", encoding="utf-8"))
        files.callback(annotations.unlink)
        first.write('{"images": [')
        image_list, annotation_list = JsonList(first), JsonList(second)
        for picture in pictures:
            image_list.add(
                {"id": picture.identity, "file_name": picture.name, "width": picture.width, "height": picture.height}
            )
            for row in picture.found:
                node = tree.index(row["wnid"])
                seen.add(node)
                annotation_list.add(_annotation(row, node, annotation_list.length + 1))
        first.write('\n],\n"annotations": [')
        second.seek(0)
        shutil.copyfileobj(second, first)
        first.write('\n],\n"categories": [')
        categories = JsonList(first)
        for node in sorted(seen):
            categories.add({"id": node, "name": tree.names[node], "wnid": tree.wnids[node]})
        first.write("\n]}\n")
    location.put(images, NAME)


def _annotation(row: dict[str, Any], node: int, number: int) -> dict[str, Any]:
    width, height = row["x2"] - row["x1"], row["y2"] - row["y1"]
    return {
        "id": number,
        "image_id": row["picture_id"],
        "category_id": node,
        "bbox": [row["x1"], row["y1"], width, height],
        "area": width * height,
        "iscrowd": 0,
        "score": row["score"],
        "objectness": row["objectness"],
        "path": row["path"],
    }

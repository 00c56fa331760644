"""What is made of all shards together: the list of failures, and COCO's JSON. Neither holds more than a shard."""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any, TextIO

import pyarrow.parquet as pq

from app.label.archive.locations import Location
from app.label.archive.shards import temporary_file
from app.label.output.tables import DETECTIONS, PICTURES, part_name
from model.wordtree import WordTree

FAILURES, COCO = "failures.jsonl", "coco.json"

ROWS = 10_000
"""Rows read at once."""


def write_failures(location: Location, shards: Iterable[int]) -> tuple[int, int]:
    """Write the pictures in which nothing could be found, each with the reason, one JSON object a line.

    Args:
        location: the output folder.
        shards: those that are done.

    Returns:
        How many pictures there are, and how many of them are failures.
    """
    temporary = temporary_file(location)
    pictures = failures = 0
    with temporary.open("w", encoding="utf-8") as file:
        for shard in shards:
            for row in _rows(location, PICTURES, shard, ["picture_id", "picture", "failure"]):
                pictures += 1
                if row["failure"] is not None:
                    failures += 1
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
    location.put(temporary, FAILURES)
    return pictures, failures


def write_coco(location: Location, shards: Iterable[int], tree: WordTree) -> None:
    """Write what was found as COCO's JSON.

    Categories are the concepts that occur, by their place in the tree; annotations are as COCO has them, and carry
    `score`, `objectness` and `path` besides.

    Args:
        location: the output folder.
        shards: those that are done, in their order.
        tree: the model's.
    """
    images, annotations = temporary_file(location), temporary_file(location)
    seen: set[int] = set()
    with ExitStack() as files:
        first = files.enter_context(images.open("w+", encoding="utf-8"))
        second = files.enter_context(annotations.open("w+", encoding="utf-8"))
        files.callback(annotations.unlink)
        first.write('{"images": [')
        image_list, annotation_list = _List(first), _List(second)
        for shard in shards:
            for row in _rows(location, PICTURES, shard):
                if row["failure"] is None:
                    image_list.add(_image(row))
            for row in _rows(location, DETECTIONS, shard):
                node = tree.index(row["wnid"])
                seen.add(node)
                annotation_list.add(_annotation(row, node, annotation_list.length + 1))
        first.write('\n],\n"annotations": [')
        second.seek(0)
        while block := second.read(1 << 20):
            first.write(block)
        first.write('\n],\n"categories": [')
        categories = _List(first)
        for node in sorted(seen):
            categories.add({"id": node, "name": tree.names[node], "wnid": tree.wnids[node]})
        first.write("\n]}\n")
    location.put(images, COCO)


def _rows(location: Location, folder: str, shard: int, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    with location.open(part_name(folder, shard)) as file:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=ROWS, columns=columns):
            yield from batch.to_pylist()


def _image(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["picture_id"], "file_name": row["picture"], "width": row["width"], "height": row["height"]}


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


class _List:
    """A list of JSON objects, written one a line as they come."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.length = 0

    def add(self, value: dict[str, Any]) -> None:
        self._file.write(",\n" if self.length else "\n")
        self._file.write(json.dumps(value, ensure_ascii=False))
        self.length += 1

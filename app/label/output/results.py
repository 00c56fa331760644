"""What is made of all shards together, whatever else is asked for: the list of failures."""

import json
from collections.abc import Iterable

from app.label.archive.shards import temporary_file
from app.label.output.tables import PICTURES, rows
from model.archives.locations import Location

FAILURES = "failures.jsonl"


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
            for row in rows(location, PICTURES, shard, ["picture_id", "picture", "failure"]):
                pictures += 1
                if row["failure"] is not None:
                    failures += 1
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
    location.put(temporary, FAILURES)
    return pictures, failures

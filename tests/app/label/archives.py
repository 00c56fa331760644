"""Archives to label, and what came of them."""

import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from typer.testing import CliRunner, Result

from app.contract.schemas import DetectionParameters
from app.label.plan import Limits, Means, Plan, make_plan
from app.settings import Settings
from model.wordtree import WordTree
from tests.app import pictures
from yolo9000.commands import cli

MOST_LINKS = 10_000  # to one file; file systems have limits

LIMITS = Limits(max_bytes=1_000_000)


def fill(folder: Path, count: int) -> list[str]:
    """Write pictures with a red box each, thousands of them one file on the disk, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:04}.png" for number in range(count)]
    for number, name in enumerate(names):
        first = names[number - number % MOST_LINKS]
        if name == first:
            (folder / first).write_bytes(pictures.red())
        else:
            os.link(folder / first, folder / name)
    return names


def plan(source: Path | str, output: Path | str, model: Path, **options: Any) -> tuple[Plan, WordTree]:
    """Plan to label with one process and the defaults of the tiny model."""
    parameters = DetectionParameters(**options.pop("parameters", {}))
    limits = options.pop("limits", LIMITS)
    means = options.pop("means", Means(processes=1))
    return make_plan(str(source), str(output), Settings(model=model), parameters, limits, means, **options)


def command(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.command, ["label", *arguments])
    assert result.exit_code == code, result.output
    return result


def rows(output: Path, what: str = "pictures") -> list[dict[str, Any]]:
    """Return the rows of all shards, by picture."""
    table = pq.read_table(output / what).sort_by("picture_id")
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def failures(output: Path) -> dict[str, str]:
    return {row["picture"]: row["failure"] for row in rows(output) if row["failure"] is not None}

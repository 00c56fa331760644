"""The `index` command."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from pydantic_settings import CliPositionalArg

from training.data.formats.given import sets_given
from training.data.formats.read import LAYOUTS, locate
from training.data.index.archives import is_shards
from training.data.index.boxes import index_boxes
from training.data.index.boxes import place_of as place_of_boxes
from training.data.index.file import Description, Entry
from training.data.index.labels import index_labels
from training.data.index.labels import place_of as place_of_labels
from training.data.index.parts import PartsRead
from training.data.index.shards import index_shards
from training.data.index.shards import place_of as place_of_shards
from training.looking.look import chosen_tree


class IndexConfiguration(BaseModel):
    """Look at every picture of large sets once, and write what training needs to know of them into a folder.

    Runs read it with `index: FOLDER`. Called again, it looks only at what has changed, or, after a stop, at what is
    left.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: CliPositionalArg[tuple[str, ...]] = Field(
        description="the sets: each ANNOTATIONS:FOLDER with the folder of the pictures, a data.yaml, an export, a NAME "
        f"in the data folder, a folder with a folder of pictures for each class, or tar archives or Parquet files: "
        f"'FOLDER/*.tar', s3://BUCKET/FOLDER. Annotations: {LAYOUTS}",
        min_length=1,
    )
    output: Path = Field(description="folder of the index; sets that it has already stay in it")
    data: Path = Field(Path("data"), description="folder of the sets given by NAME, see `evaluate`")
    label_map: Path | None = Field(
        None, description="file with a line 'WNID NAME' for each class whose name is unclear; of sets with boxes"
    )
    tree: Path | None = Field(
        None,
        description="WordTree of the classes of sets with boxes, as `wordtree` writes it; default: the packaged one",
    )
    picture_column: str | None = Field(
        None, description="column of the pictures in Parquet files; default: the only one that can be"
    )
    processes: PositiveInt = Field(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        description="processes that look at pictures; default: one for each core",
    )


def build_index(configuration: IndexConfiguration) -> list[str]:
    """Index sets; return a line about each. Progress is shown on a terminal.

    Raises:
        InvalidDatasetError: a set cannot be used; those before it are stored.
        ConfigurationError: the tree cannot be used.
    """
    tree = chosen_tree(configuration.tree)
    index, label_map = configuration.output, configuration.label_map
    index.mkdir(parents=True, exist_ok=True)
    lines = []
    for given in configuration.sets:
        if is_shards(given):
            column = configuration.picture_column
            entry = place_of_shards(given, column, index)
            archives = index_shards(given, column, entry, configuration.processes)
            lines.append(_line(given, entry, _told(archives, "archives")))
            continue
        annotations, pictures = locate(given, configuration.data)
        for one in sets_given(given, configuration.data):
            if one.boxed:
                entry = place_of_boxes(annotations, pictures, tree, label_map, one.split, index)
                read = index_boxes(annotations, pictures, tree, label_map, one.split, entry)
                lines.append(_line(one.name, entry, f"{read:,} pictures looked at" if read else "unchanged"))
            else:
                entry = place_of_labels(annotations, index)
                result = index_labels(annotations, entry, configuration.processes)
                lines.append(_line(one.name, entry, _told(result, "classes")))
    return lines


def _told(result: PartsRead, parts: str) -> str:
    told = f"{result.read:,} looked at" if result.read else "all unchanged"
    return f"{len(result.parts):,} {parts}, {told}"


def _line(name: str, entry: Entry, told: str) -> str:
    description = entry.read()
    assert isinstance(description, Description)  # it was just written, or found
    rows = sum(piece.rows for piece in description.pieces)
    size = (entry.folder / description.columns).stat().st_size
    return f"{name}: {rows:,} pictures, {size / 1e6:,.1f} MB; {told}"

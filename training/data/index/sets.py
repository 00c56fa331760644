"""Reading a set: as an index has it where there is one, else by itself. Either way it comes as columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from model.wordtree import WordTree
from training.data.formats.detection_set import DetectionSet, InvalidDatasetError
from training.data.formats.folder import read_folder
from training.data.formats.held_out import rows_of_part
from training.data.formats.label_map import known_names
from training.data.formats.layouts.data_yaml import Split
from training.data.formats.read import nothing_left, part_of_set, read_detection_set
from training.data.index import boxes, labels, shards
from training.data.index.archives import archives_of, stamp_of
from training.data.index.file import Description, Entry, joined
from training.data.index.parts import Journals
from training.data.pictures.columns import BoxedPictures, LabelOnlyPictures
from training.data.shards.cache import ShardsConfiguration

INDEX: Final = "folder that `index` wrote; sets are read from there, and their pictures are not looked at once more"

SHARDS: Final = (
    "sets in shards: source (tar archives as WebDataset has them, or Parquet files: a folder, a file or a pattern, "
    "here or as s3:// or gs://), label_map, picture_column, repeats, held_out_every, and of sets with boxes "
    "negative_weight and balance"
)


class ShardSource(BaseModel):
    """A set in tar archives or Parquet files, with boxes or with labels alone, as the archives have it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(
        description="folder, file or glob pattern, here or as a URL (s3://, gs://), of tar archives or Parquet files"
    )
    label_map: Path | None = Field(
        None, description="file with a line 'WNID name' for each class whose name is unclear, or which is a number"
    )
    picture_column: str | None = Field(
        None, description="column of the pictures in Parquet files; default: the only one that can be"
    )
    repeats: PositiveInt = Field(1, description="how often an epoch shows each picture")
    negative_weight: NonNegativeFloat = Field(
        1.0, description="with boxes: weight of 'there is no object here', see `detection`"
    )
    balance: float = Field(0.0, ge=0, le=1, description="with boxes: see `detection`")
    held_out_every: NonNegativeInt = Field(0, description="hold out every n-th picture; 0: none")


def read_boxes(
    annotations: Path,
    pictures: Path | None,
    tree: WordTree,
    label_map: Path | None = None,
    *,
    index: Path | None,
    split: Split = "train",
    strict: bool = False,
    held_out_every: int = 0,
    held_out: bool = False,
) -> DetectionSet:
    """Read a set with boxes; see `training.data.formats.read.read_detection_set`.

    Args:
        annotations, pictures, tree, label_map, split, strict, held_out_every, held_out: see there.
        index: folder of an index that has the set; None: it is read by itself.

    Raises:
        InvalidDatasetError: it cannot be used, is not in the index, or has changed since.
    """
    if index is None:
        return read_detection_set(
            annotations,
            pictures,
            tree,
            label_map,
            split=split,
            strict=strict,
            held_out_every=held_out_every,
            held_out=held_out,
        )
    entry = boxes.place_of(annotations, pictures, tree, label_map, split, index)
    description = _described(entry)
    found = boxes.boxes_of(entry, description, tree)
    return part_of_set(found, annotations, strict=strict, held_out_every=held_out_every, held_out=held_out)


def read_labels(
    folder: Path,
    tree: WordTree,
    label_map: Mapping[str, str] | None = None,
    *,
    index: Path | None,
    held_out_every: int = 0,
    held_out: bool = False,
) -> LabelOnlyPictures:
    """Read a set with a label a picture; see `training.data.formats.folder.read_folder`.

    Args:
        folder, tree, label_map, held_out_every, held_out: see there.
        index: folder of an index that has the set; None: it is read by itself.

    Raises:
        InvalidDatasetError: it cannot be used, is not in the index, or has changed since.
    """
    if index is None:
        return read_folder(folder, tree, label_map, held_out_every=held_out_every, held_out=held_out)
    entry = labels.place_of(folder, index)
    return labels.labels_of(entry, _described(entry), tree, label_map, held_out_every=held_out_every, held_out=held_out)


def read_shards(
    source: ShardSource,
    tree: WordTree,
    *,
    index: Path | None,
    configuration: ShardsConfiguration,
    strict: bool = False,
    held_out: bool = False,
) -> DetectionSet | LabelOnlyPictures:
    """Read a set in tar archives or Parquet files; without an index all of it is read, to know what is where.

    Args:
        source: the set.
        tree: of its classes.
        index: folder of an index that has it; None: it is read by itself.
        configuration: of what is fetched or unpacked.
        strict: refuse a set of which there is anything to remark.
        held_out: keep what `source.held_out_every` holds out, and leave the others out instead.

    Raises:
        InvalidDatasetError: it cannot be used, is not in the index, or has changed since.
    """
    batches: Sequence[pa.RecordBatch]
    if index is None:
        _, archives = archives_of(source.source)
        description, batches = _gathered(source.source, source.picture_column, stamp_of(archives))
    else:
        entry = shards.place_of(source.source, source.picture_column, index)
        description = _described(entry)
        shards.check_archives(description)
        batches = entry.batches(description)
    if strict and description.remarks:
        raise InvalidDatasetError(f"{source.source}: {'; '.join(description.remarks)}; or go on without `strict`")
    read = shards.shards_of(description, batches, tree, known_names(source.label_map), configuration)
    if isinstance(read, DetectionSet):
        return replace(read, pictures=_part(read.pictures, source, held_out=held_out))
    return _part(read, source, held_out=held_out)


@lru_cache(maxsize=8)
def _gathered(source: str, picture_column: str | None, _: str) -> tuple[Description, list[pa.RecordBatch]]:
    """Read every archive of a set of a stamp; once, though its pictures are asked for in two parts."""
    with TemporaryDirectory() as folder:
        description, found, _read = shards.gather_shards(source, picture_column, {}, Journals(Path(folder), "set"), 1)
        return description, list(joined(found))


Read = TypeVar("Read", BoxedPictures, LabelOnlyPictures)


def _part(pictures: Read, source: ShardSource, *, held_out: bool) -> Read:
    every = source.held_out_every
    if not every:
        return pictures
    rows = rows_of_part(np.array([len(pictures)]), every, held_out=held_out)
    if not len(rows):
        raise nothing_left(source.source, len(pictures), every, held_out=held_out)
    return pictures.select(rows)


def _described(entry: Entry) -> Description:
    description = entry.read()
    if description is None:
        raise InvalidDatasetError(
            f"{entry.place}: is not in the index {entry.folder}, or was indexed with another tree or label map; "
            f"add it: python -m training index"
        )
    return description

"""The index of a set in shards. A part is an archive; it is read whole, once."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.wordtree import WordTree
from training.data.formats.detection_set import DetectionSet, InvalidDatasetError, some_of
from training.data.formats.label_map import categories_of
from training.data.index.archives import archives_of, read_archive, stamp_of
from training.data.index.file import ONCE_MORE, Class, Description, Entry, Piece
from training.data.index.parts import Journals, Part, PartsRead, read_parts
from training.data.pictures.columns import BoxedPictures, LabelOnlyPictures
from training.data.shards.cache import ShardsConfiguration
from training.data.shards.files import ShardFiles
from training.data.shards.shard import Shard

logger = logging.getLogger(__name__)


def place_of(source: str, picture_column: str | None, index: Path) -> Entry:
    """Return the place of such a set in an index."""
    return Entry.of(index, "shards", [source, picture_column])


def index_shards(source: str, picture_column: str | None, entry: Entry, processes: int) -> PartsRead:
    """Read every archive of a set, and store what is in them.

    Args:
        source: a folder, a file or a glob pattern, here or as a URL; see `model.archives.locations.find`.
        picture_column: of Parquet files, the column of the pictures; None: the only one that can be.
        entry: where.
        processes: that read archives.

    Raises:
        InvalidDatasetError: there are no such archives, or no pictures in them.
    """
    journals = Journals(entry.folder, entry.stem)
    description, batches, result = gather_shards(source, picture_column, known_parts(entry), journals, processes)
    entry.write(description, batches)
    journals.clear()
    return result


def gather_shards(
    source: str, picture_column: str | None, known: Mapping[str, Part], journals: Journals, processes: int
) -> tuple[Description, Iterator[pa.RecordBatch], PartsRead]:
    """Read every archive of a set; return what they are, their columns, and how many had to be read."""
    url, archives = archives_of(source)
    read = partial(read_archive, url, picture_column)
    result = read_parts(list(archives), read, known, journals, processes, f"indexing {source}", leave_out=True)
    unusable = [one for part in result.parts for one in part.unusable]
    kinds = {part.about["boxed"] for part in result.parts if part.batch.num_rows}
    if len(kinds) != 1:
        raise InvalidDatasetError(
            f"{source}: {'some of its archives have boxes, and others labels alone' if kinds else 'no pictures in it'}"
            f"{f': {some_of(unusable)}' if unusable else ''}"
        )
    names = dict.fromkeys(name for part in result.parts for name in part.about["classes"])
    numbers = {name: number for number, name in enumerate(names)}
    description = Description(
        place=source,
        columns="",
        root=url,
        name=Path(source.rstrip("/")).name,
        classes=tuple(Class(name=name) for name in names),
        pieces=tuple(
            Piece(name=part.name, stamp=part.stamp, rows=part.batch.num_rows, unusable=part.unusable, about=part.about)
            for part in result.parts
        ),
        marks=(),
        stamp=stamp_of(archives),
        clipped=sum(part.about["clipped"] for part in result.parts),
        dropped=sum(part.about["dropped"] for part in result.parts),
        remarks=tuple(_remarks(result.parts)),
    )
    for remark in description.remarks:
        logger.warning("%s: %s", source, remark)
    batches = (_renumbered(part, numbers) for part in result.parts if part.batch.num_rows)
    return description, batches, result


def known_parts(entry: Entry) -> dict[str, Part]:
    """Return the parts that an index has of a set, their classes numbered as each part has them."""
    classes, parts = entry.stored()
    numbers = {one.name: number for number, one in enumerate(classes)}
    return {name: part._replace(batch=_with_own_numbers(part, numbers)) for name, part in parts.items()}


def _remarks(parts: Sequence[Part]) -> Iterator[str]:
    unusable = [one for part in parts for one in part.unusable]
    if unusable:
        pictures = sum(part.batch.num_rows for part in parts) + len(unusable)
        yield f"left out {len(unusable)} of {pictures} pictures, which cannot be used: {some_of(unusable)}"
    clipped, dropped = (sum(part.about[kind] for part in parts) for kind in ("clipped", "dropped"))
    if clipped or dropped:
        told = [one for part in parts for one in part.about["told"]]
        yield f"dropped {dropped} boxes, and cut {clipped} at the edge: {some_of(told)}"


def _renumbered(part: Part, numbers: Mapping[str, int]) -> pa.RecordBatch:
    """Return a part's columns with the numbers that its classes have in the whole set."""
    new = np.array([numbers[name] for name in part.about["classes"]], np.int32)
    return _with_nodes(part.batch, lambda old: new[old])


def _with_own_numbers(part: Part, numbers: Mapping[str, int]) -> pa.RecordBatch:
    """Return a part's columns, which have the numbers of the whole set, with those of its own classes again."""
    whole = np.array([numbers[name] for name in part.about["classes"]], np.int32)
    order = np.argsort(whole).astype(np.int32)
    return _with_nodes(part.batch, lambda old: order[np.searchsorted(whole[order], old)])


def _with_nodes(batch: pa.RecordBatch, change: Callable[[NDArray[np.int32]], NDArray[np.int32]]) -> pa.RecordBatch:
    place = batch.schema.get_field_index("nodes")
    if place < 0:
        place = batch.schema.get_field_index("node")
        new = pa.array(change(batch.column(place).to_numpy()))
    else:
        old = batch.column(place)
        ends = old.offsets.to_numpy()
        new = pa.ListArray.from_arrays(pa.array(ends - ends[0]), pa.array(change(old.flatten().to_numpy())))
    columns = list(batch.columns)
    columns[place] = new
    return pa.record_batch(columns, schema=batch.schema)


def shards_of(
    description: Description,
    batches: Sequence[pa.RecordBatch],
    tree: WordTree,
    label_map: Mapping[str, str] | None,
    configuration: ShardsConfiguration,
) -> DetectionSet | LabelOnlyPictures:
    """Return a set in shards.

    Args:
        description, batches: what is known of it.
        tree: of its classes.
        label_map: see `training.data.formats.label_map`.
        configuration: of what is fetched or unpacked.

    Raises:
        InvalidDatasetError: a class is no one concept of the tree.
    """
    names = [one.name for one in description.classes]
    categories = categories_of(names, tree, label_map, Path(description.place))
    nodes = np.array([categories[name].node for name in names], np.int32)
    shards = [Shard.model_validate(one) for piece in description.pieces for one in piece.about["shards"]]
    stamps = {piece.name: piece.about["stamp"] for piece in description.pieces}
    files = ShardFiles(description.root, shards, stamps, configuration)
    if not any(piece.about["boxed"] for piece in description.pieces):
        return LabelOnlyPictures(batches, files, nodes=nodes, checked=True)
    return DetectionSet(
        description.name,
        BoxedPictures(batches, files, nodes=nodes, checked=True),
        tuple(categories[name] for name in names),
        clipped=description.clipped,
        dropped=description.dropped,
        remarks=description.remarks,
    )


def check_archives(description: Description) -> None:
    """Check that the archives of a set are what they were when they were indexed.

    Raises:
        InvalidDatasetError: some are missing, are new, or have changed; it names the first few.
    """
    _, archives = archives_of(description.place)
    if stamp_of(archives) == description.stamp:
        return
    before = {piece.name: piece.stamp for piece in description.pieces}
    missing = [name for name in before if name not in archives]
    others = [name for name, found in archives.items() if before.get(name) != stamp_of({name: found})]
    told = [
        f"{len(names)} of its archives {what}: {some_of(names)}"
        for names, what in ((missing, "are missing"), (others, "are new or have changed"))
        if names
    ]
    raise InvalidDatasetError(f"{description.place}: {'; '.join(told)}; bring them back, or {ONCE_MORE}")

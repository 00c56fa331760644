"""The index of a set with a folder of pictures for each class. A part is a class."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from model.wordtree import WordTree
from training.data.formats.archives import is_zip, opened
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.held_out import rows_of_part
from training.data.formats.label_map import categories_of
from training.data.formats.picture_files import list_pictures
from training.data.formats.picture_headers import reason_or_size
from training.data.index.file import Class, Description, Entry, Piece
from training.data.index.parts import Journals, Part, PartsRead, read_parts
from training.data.index.stamps import stamp_of_files, stamp_of_folders
from training.data.pictures.columns import SIZED, LabelOnlyPictures


def place_of(folder: Path, index: Path) -> Entry:
    """Return the place of such a set in an index."""
    return Entry.of(index, "labels", [folder])


def index_labels(folder: Path, entry: Entry, processes: int) -> PartsRead:
    """Look at every picture of a set, and store what it is.

    Args:
        folder: as `training.data.formats.folder.read_folder` takes it.
        entry: where.
        processes: that look at pictures.

    Raises:
        InvalidDatasetError: there is no such folder, nothing in it, or pictures that cannot be used.
    """
    root = opened(folder).absolute()
    if not root.is_dir():
        raise InvalidDatasetError(f"{folder}: there is no such folder of classification pictures")
    classes = sorted(path.name for path in root.iterdir() if path.is_dir())
    marks = (*([folder.absolute()] if is_zip(folder) else []), root, *(root / name for name in classes))
    stamp = stamp_of_folders(marks)
    journals = Journals(entry.folder, entry.stem)
    _, known = entry.stored()
    result = read_parts(classes, partial(read_class, root), known, journals, processes, f"indexing {root.name}")
    entry.write(
        Description(
            place=str(folder),
            columns="",
            root=str(root),
            name=folder.name,
            classes=tuple(Class(name=name) for name in classes),
            pieces=tuple(Piece(name=part.name, stamp=part.stamp, rows=part.batch.num_rows) for part in result.parts),
            marks=marks,
            stamp=stamp,
        ),
        (_numbered(part.batch, number) for number, part in enumerate(result.parts)),
    )
    journals.clear()
    return result


def read_class(root: Path, name: str, known: str | None) -> Part | None:
    """Look at the pictures of a class; see `training.data.index.parts.ReadPart`."""
    paths = list_pictures(root / name)
    stamp = stamp_of_files(paths)
    if stamp == known:
        return None
    found = [reason_or_size(path) for path in paths]
    names = [os.fsencode(f"{name}/{path.name}") for path in paths]
    usable = [(one, *size) for one, size in zip(names, found, strict=True) if not isinstance(size, str)]
    columns = list(zip(*usable, strict=True)) or [(), (), ()]
    batch = pa.record_batch(
        [
            pa.array(columns[0], pa.binary()),
            pa.array(np.zeros(len(usable), np.int32)),
            pa.array(columns[1], pa.int32()),
            pa.array(columns[2], pa.int32()),
        ],
        schema=SIZED,
    )
    return Part(name, stamp, batch, tuple(one for one in found if isinstance(one, str)))


def labels_of(
    entry: Entry,
    description: Description,
    tree: WordTree,
    label_map: Mapping[str, str] | None,
    *,
    held_out_every: int = 0,
    held_out: bool = False,
) -> LabelOnlyPictures:
    """Return a set as an index has it; the arguments are `training.data.formats.folder.read_folder`'s.

    Raises:
        InvalidDatasetError: as there, or the set has changed since.
    """
    entry.check(description, stamp_of_folders)
    names = [one.name for one in description.classes]
    categories = categories_of(names, tree, label_map, Path(entry.place))
    nodes = np.array([categories[name].node for name in names], np.int32)
    rows = None
    if held_out_every:
        rows = rows_of_part(np.array([piece.rows for piece in description.pieces]), held_out_every, held_out=held_out)
    pictures = LabelOnlyPictures(entry.batches(description), Path(description.root), rows, nodes, checked=True)
    if not pictures:
        raise InvalidDatasetError(
            f"{entry.place}: holds no pictures in folders named by class, or none that is"
            f"{'' if held_out else ' not'} held out"
        )
    return pictures


def _numbered(batch: pa.RecordBatch, number: int) -> pa.RecordBatch:
    numbers = pa.array(np.full(batch.num_rows, number, np.int32))
    return pa.record_batch([batch.column(0), numbers, *batch.columns[2:]], schema=SIZED)

"""The index of a set with boxes, whatever its layout; it is one part, as its annotations may be one file."""

import os
from pathlib import Path

from model.wordtree import WordTree
from training.data.formats.archives import is_zip
from training.data.formats.detection_set import Category, DetectionSet
from training.data.formats.layouts.data_yaml import Split
from training.data.formats.picture_headers import check_pictures
from training.data.formats.read import read_detection_set
from training.data.index.file import Class, Description, Entry, Piece
from training.data.index.stamps import stamp_of_places
from training.data.pictures.columns import BoxedPictures
from training.files import sha256_of


def place_of(
    annotations: Path, pictures: Path | None, tree: WordTree, label_map: Path | None, split: Split, index: Path
) -> Entry:
    """Return the place of such a set in an index; with another tree or label map it is another set."""
    map_digest = None if label_map is None else sha256_of(label_map)
    part = split if pictures is None else None
    return Entry.of(index, "boxes", [annotations, pictures, tree.digest, map_digest, part])


def index_boxes(
    annotations: Path, pictures: Path | None, tree: WordTree, label_map: Path | None, split: Split, entry: Entry
) -> int:
    """Read a set, look at its pictures, and store what it is; return how many pictures were read, 0 if it is there.

    Args:
        annotations, pictures, tree, label_map, split: as `training.data.formats.read.read_detection_set` takes them.
        entry: where.

    Raises:
        InvalidDatasetError: it cannot be used.
    """
    before = entry.read()
    if before is not None and _stamp(before.marks) == before.stamp:
        return 0
    found = read_detection_set(annotations, pictures, tree, label_map, split=split)
    check_pictures(found.pictures)
    root = found.pictures.root
    assert isinstance(root, Path)  # these are single files
    marks = _marks(annotations, pictures, label_map, found)
    entry.write(
        Description(
            place=str(annotations),
            columns="",
            root=str(root.absolute()),
            name=found.name,
            classes=tuple(Class(name=one.name, wnid=one.wnid) for one in found.categories),
            pieces=(Piece(name="", stamp="", rows=len(found.pictures)),),
            marks=marks,
            stamp=stamp_of_places(marks),
            clipped=found.clipped,
            dropped=found.dropped,
            remarks=found.remarks,
        ),
        found.pictures.batches,
    )
    return len(found.pictures)


def boxes_of(entry: Entry, description: Description, tree: WordTree) -> DetectionSet:
    """Return a set as an index has it.

    Raises:
        InvalidDatasetError: it has changed since.
    """
    entry.check(description)
    return DetectionSet(
        description.name,
        BoxedPictures(entry.batches(description), Path(description.root), checked=True),
        tuple(Category(one.name, one.wnid, tree.index(one.wnid)) for one in description.classes),
        clipped=description.clipped,
        dropped=description.dropped,
        remarks=description.remarks,
    )


def _marks(annotations: Path, pictures: Path | None, label_map: Path | None, found: DetectionSet) -> tuple[Path, ...]:
    """Return the files and folders that change when the set does."""
    places = [annotations, *([label_map] if label_map else [])]
    if not is_zip(annotations):
        folders = {one.path.parent for one in found.pictures}
        folders |= {Path(*("labels" if part == "images" else part for part in one.parts)) for one in folders}
        folders |= {path for path in annotations.rglob("*") if path.is_dir()} if annotations.is_dir() else set()
        places += sorted(folder for folder in {*folders, *([pictures] if pictures else [])} if folder.is_dir())
    return tuple(dict.fromkeys(Path(os.path.realpath(place)) for place in places))


def _stamp(marks: tuple[Path, ...]) -> str | None:
    try:
        return stamp_of_places(marks)
    except OSError:
        return None

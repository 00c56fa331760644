"""Reading a set: as an index has it where there is one, else by itself. Either way it comes as columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from model.wordtree import WordTree
from training.data.formats.detection_set import DetectionSet, InvalidDatasetError
from training.data.formats.folder import read_folder
from training.data.formats.layouts.data_yaml import Split
from training.data.formats.read import part_of_set, read_detection_set
from training.data.index import boxes, labels
from training.data.index.file import Description, Entry
from training.data.pictures.columns import LabelOnlyPictures

INDEX: Final = "folder that `index` wrote; sets are read from there, and their pictures are not looked at once more"


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
    found = boxes.boxes_of(entry, _described(entry), tree)
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


def _described(entry: Entry) -> Description:
    description = entry.read()
    if description is None:
        raise InvalidDatasetError(
            f"{entry.place}: is not in the index {entry.folder}, or was indexed with another tree or label map; "
            f"add it: python -m training index"
        )
    entry.check(description)
    return description

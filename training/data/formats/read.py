"""Reads a detection set whatever its layout: COCO JSON, PASCAL VOC's XML, YOLO's text files."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from model.wordtree import WordTree
from training.data.formats.archives import is_zip
from training.data.formats.detection_set import DetectionSet, InvalidDatasetError, Refuse, refuse_set
from training.data.formats.held_out import part_of
from training.data.formats.label_map import known_names
from training.data.formats.layouts.coco import read_coco
from training.data.formats.layouts.data_yaml import Split, is_yaml
from training.data.formats.layouts.exports import find_part
from training.data.formats.layouts.voc import read_voc
from training.data.formats.layouts.yolo import read_yolo

LAYOUTS = (
    "COCO JSON (NAME.json); PASCAL VOC: a folder of XML files, or ImageSets/Main/NAME.txt; YOLO: data.yaml, NAME.names "
    "or classes.txt. A data.yaml that says where its pictures are, and an export, as a zip file or a folder, need no "
    "folder of pictures"
)

STRICT = "refuse sets with boxes that were cut, dropped or changed, or with pictures found under another name"


def read_detection_set(
    annotations: Path,
    pictures: Path | None,
    tree: WordTree,
    label_map: Path | None = None,
    *,
    split: Split = "train",
    strict: bool = False,
    held_out_every: int = 0,
    held_out: bool = False,
    refuse: Refuse = refuse_set,
) -> DetectionSet:
    """Read a detection set; the annotations' name tells the layout, as `LAYOUTS` says.

    Args:
        annotations: see `LAYOUTS`.
        pictures: the folder of its pictures; None where a data.yaml says where they are, and for an export, see
            `training.data.formats.layouts.exports`.
        tree: what the nodes of the answer index.
        label_map: file with the node of each class name, see `training.data.formats.label_map`.
        split: the part of a data.yaml or an export, where no folder is given.
        strict: refuse a set of which there is anything to remark, see `DetectionSet`.
        held_out_every: leave out every n-th picture in the order of their files' names, so that an evaluation has some
            that no training saw; 0 keeps all.
        held_out: keep those and leave the others out instead.
        refuse: what to do about single records that cannot be used; by default the whole set is refused.

    Raises:
        InvalidDatasetError: the set cannot be used; it names the file, the line or record, and what to do.
    """
    found = _read(annotations, pictures, tree, label_map, split, refuse)
    return part_of_set(found, annotations, strict=strict, held_out_every=held_out_every, held_out=held_out)


def part_of_set(
    found: DetectionSet, annotations: Path, *, strict: bool = False, held_out_every: int = 0, held_out: bool = False
) -> DetectionSet:
    """Return of a set that was read what is asked for; see `read_detection_set`.

    Raises:
        InvalidDatasetError: there is something to remark and it is strict, or no picture is left.
    """
    if strict and found.remarks:
        raise InvalidDatasetError(
            f"{annotations}: {'; '.join(found.remarks)}. Put this right, or go on without `strict`"
        )
    if not held_out_every:
        return found
    names = list(found.pictures.names())
    ordered = sorted(range(len(names)), key=lambda place: Path(os.fsdecode(names[place])))
    chosen = part_of(ordered, held_out_every, held_out=held_out)
    if not chosen:
        raise nothing_left(annotations, len(ordered), held_out_every, held_out=held_out)
    return replace(found, pictures=found.pictures.select(np.array(chosen, np.int64)))


def nothing_left(place: Path | str, pictures: int, every: int, *, held_out: bool) -> InvalidDatasetError:
    """Return the error for a set of which no picture is held out, or no other than these.

    Args:
        place: of the set.
        pictures: how many it has.
        every: of which one is held out.
        held_out: whether these were asked for.
    """
    which = "held" if held_out else "left when every n-th is held"
    return InvalidDatasetError(f"{place}: of {pictures} pictures none is {which} out with n = {every}")


def check_places(annotations: Path, pictures: Path | None) -> None:
    """Check, before anything is read, that it is said where the pictures of a set are.

    Raises:
        ValueError: it is not.
    """
    if pictures is None and not (is_yaml(annotations) or is_zip(annotations) or annotations.is_dir()):
        raise ValueError(
            f"{annotations} needs the folder of its pictures as `pictures`; only data.yaml and exports may say it"
        )


def locate(given: str, data: Path) -> tuple[Path, Path | None]:
    """Return the annotations and the folder of pictures that one entry of the option `sets` stands for.

    Args:
        given: ANNOTATIONS:PICTURES, a data.yaml that says where its pictures are, an export (a zip file or a folder),
            or the name of a set in `data`.
        data: has the folders annotations and images.
    """
    if is_yaml(Path(given)) or is_zip(Path(given)):
        return Path(given), None
    annotations, colon, pictures = given.rpartition(":")
    if colon and annotations and not Path(given).is_dir():
        return Path(annotations), Path(pictures)
    named = data / "annotations" / f"{given}.json"
    if Path(given).is_dir() and not named.is_file():
        return Path(given), None
    return named, data / "images" / given


def _read(
    annotations: Path, pictures: Path | None, tree: WordTree, label_map: Path | None, split: Split, refuse: Refuse
) -> DetectionSet:
    nodes = known_names(label_map)
    if pictures is None and (is_zip(annotations) or annotations.is_dir()):
        annotations, pictures = find_part(annotations, split)
    suffix = annotations.suffix.lower()
    if pictures is None:
        if is_yaml(annotations):
            return read_yolo(annotations, split, tree, nodes, refuse)
        raise InvalidDatasetError(
            f"{annotations}: give the folder of its pictures as well; only data.yaml and exports may say it"
        )
    if annotations.is_dir():
        return read_voc(annotations, pictures, tree, nodes, refuse)
    if suffix == ".json":
        return read_coco(annotations, pictures, tree, nodes, refuse)
    if is_yaml(annotations) or suffix == ".names" or annotations.name == "classes.txt":
        return read_yolo(annotations, pictures, tree, nodes, refuse)
    if suffix == ".txt":
        return read_voc(annotations, pictures, tree, nodes, refuse)
    raise InvalidDatasetError(f"{annotations}: is not a known layout, or does not exist. Known are {LAYOUTS}")

"""Reads detection sets in COCO's JSON layout.

The layout is the one of https://cocodataset.org/#format-data ("Object Detection") with one field more: a category may
carry `wnid`, a node of the WordTree. Of one without it the name has to say what it is
(`training.data.formats.label_map`).
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, FiniteFloat, NonNegativeInt, ValidationError

from model.files.text import read_json
from model.wordtree import WordTree
from training.data.formats.detection_set import (
    Category,
    DetectionSet,
    InvalidDatasetError,
    Refuse,
    clip_picture,
    gather,
    refuse_set,
    some_of,
)
from training.data.formats.label_map import categories_of
from training.data.formats.picture_files import PictureFinder
from training.data.formats.picture_headers import sizes_of

logger = logging.getLogger(__name__)

BOX_FORM: Final = "x, y, width, height in pixels"


class _Image(BaseModel):
    id: int | str
    file_name: str
    width: NonNegativeInt | None = None
    height: NonNegativeInt | None = None


class _Annotation(BaseModel):
    image_id: int | str
    category_id: int | str
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    iscrowd: bool = False
    difficult: bool = False


class _Category(BaseModel):
    id: int | str
    name: str
    wnid: str | None = None


class _CocoFile(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_coco(
    annotations: Path,
    pictures: Path,
    tree: WordTree,
    label_map: Mapping[str, str] | None = None,
    refuse: Refuse = refuse_set,
) -> DetectionSet:
    """Read a detection set and check that it can be used with `tree`.

    Args:
        annotations: COCO JSON; boxes are x, y, width, height in pixels.
        pictures: the folder that the `file_name`s are relative to.
        tree: what the nodes of the answer index.
        label_map: the wnid of categories, by name, that have none in the file.
        refuse: what to do about a picture, a record or a category that cannot be used.

    Raises:
        InvalidDatasetError: the file is not such a JSON, a picture is missing, a category with boxes has no `wnid`, one
            has a `wnid` that the tree lacks, a record refers to another that is not there, or no box can be used.
    """
    content = _parse(annotations)
    if not content.images:
        raise InvalidDatasetError(f"{annotations}: `images` is empty; a detection set needs at least one picture.")
    _check_unique(annotations, "images", [image.id for image in content.images])
    _check_unique(annotations, "categories", [category.id for category in content.categories])
    used = {record.category_id for record in content.annotations}
    categories = _categories(annotations, content.categories, used, tree, label_map or {}, refuse)
    finder = PictureFinder(pictures)
    found = _find_pictures(annotations, pictures, content.images, finder, refuse)
    images = [image for image in content.images if image.id in found]
    paths = [found[image.id] for image in images]
    grouped = _group(annotations, content, refuse)
    given = [(one.width, one.height) if one.width and one.height else None for one in images]
    sizes = sizes_of(annotations, paths, given, refuse)
    _check_sides(annotations, content, dict(zip((one.id for one in images), sizes, strict=True)), grouped, refuse)
    known = any("difficult" in record.model_fields_set for record in content.annotations)
    clipped = []
    for image, path, size in zip(images, paths, sizes, strict=True):
        if size is None:
            continue
        numbers = grouped[image.id]
        boxes = [content.annotations[number] for number in numbers]
        corners = np.array([record.bbox for record in boxes], np.float64).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        clipped.append(
            clip_picture(
                path,
                size,
                corners,
                np.array([categories[record.category_id].node for record in boxes], np.int32),
                [f"annotations[{number}]" for number in numbers],
                crowd=np.array([record.iscrowd for record in boxes], bool),
                difficult=np.array([record.difficult for record in boxes], bool) if known else None,
            )
        )
    return gather(
        annotations,
        annotations.stem,
        clipped,
        list(categories.values()),
        BOX_FORM,
        finder.remarks(),
        refuse,
        pictures,
    )


def _parse(annotations: Path) -> _CocoFile:
    try:
        content = read_json(annotations)
    except OSError as error:
        raise InvalidDatasetError(
            f"{annotations}: the annotations cannot be read ({error.strerror}); give the path of a COCO JSON file."
        ) from error
    try:
        return _CocoFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        where = f" at {place.removeprefix('.')}" if place else ""
        raise InvalidDatasetError(
            f"{annotations}: not COCO detection annotations{where}: {first['msg']} "
            f"(problems: {error.error_count()}); put the record right, or export the file again."
        ) from error


def _check_unique(annotations: Path, what: str, ids: Iterable[int | str]) -> None:
    twice = [identity for identity, count in Counter(ids).items() if count > 1]
    if twice:
        raise InvalidDatasetError(
            f"{annotations}: `{what}` uses the id {some_of(twice)} more than once; give every record its own."
        )


def _categories(
    annotations: Path,
    records: Sequence[_Category],
    used: Collection[int | str],
    tree: WordTree,
    label_map: Mapping[str, str],
    refuse: Refuse,
) -> dict[int | str, Category]:
    """Return the categories by their id, without those that have neither a node nor a box.

    Roboflow exports such a one: the project's name, with the id 0.
    """
    without = [record for record in records if not record.wnid]
    names = [record.name for record in without]
    by_name = categories_of(
        names,
        tree,
        label_map,
        annotations,
        used={record.name for record in without if record.id in used},
        refuse=refuse,
    )
    outside = [record for record in records if record.wnid and record.wnid not in tree]
    if outside:
        told = some_of([f"{record.id} ({record.name}, {record.wnid})" for record in outside])
        refuse(
            InvalidDatasetError(
                f"{annotations}: the tree of {len(tree)} concepts lacks the wnid of category {told}; "
                f"use that of the nearest more general concept in it (`yolo9000 classes QUERY` searches it)."
            )
        )
    found = {}
    for record in records:
        if record.wnid and record.wnid in tree:
            found[record.id] = Category(record.name, record.wnid, tree.index(record.wnid))
        elif not record.wnid and record.name in by_name:
            found[record.id] = by_name[record.name]
    return found | {
        record.id: Category(record.name, "", -number) for number, record in enumerate(outside, start=1 + len(without))
    }


def _check_sides(
    annotations: Path,
    content: _CocoFile,
    sizes: Mapping[int | str, tuple[int, int] | None],
    grouped: Mapping[int | str, Sequence[int]],
    refuse: Refuse,
) -> None:
    """Refuse boxes that are given as corners, x1, y1, x2, y2: most of them would be cut at the picture's edge.

    As corners every box must make sense, and as sides half of them must not fit into their picture.
    """
    of_known = [
        (content.annotations[number].bbox, size) for image, size in sizes.items() if size for number in grouped[image]
    ]
    if not of_known:
        return
    boxes, size = (np.array(part) for part in zip(*of_known, strict=True))
    start, given = boxes[:, :2], boxes[:, 2:]
    corners = np.all((given > start) & (given <= size + 1))
    too_large = np.any(start + given > size + 1, axis=1)
    if corners and too_large.mean() >= 1 / 2:
        refuse(
            InvalidDatasetError(
                f"{annotations}: {too_large.sum()} of {len(boxes)} boxes reach beyond their picture, and all would fit "
                f"as x1, y1, x2, y2. COCO's `bbox` is {BOX_FORM}; export the file again."
            )
        )


def _find_pictures(
    annotations: Path, pictures: Path, images: Sequence[_Image], finder: PictureFinder, refuse: Refuse
) -> dict[int | str, Path]:
    """Return the file of each picture that is there, by the picture's id."""
    found = {image.id: path for image in images if (path := finder.find(image.file_name)) is not None}
    missing = [image.file_name for image in images if image.id not in found]
    if missing:
        refuse(
            InvalidDatasetError(
                f"{annotations}: {len(missing)} of its {len(images)} pictures are not in {pictures}: "
                f"{some_of(missing)}; fetch them, or give the folder that the file names are relative to."
            )
        )
    return found


def _group(annotations: Path, content: _CocoFile, refuse: Refuse) -> dict[int | str, list[int]]:
    """Gather the numbers of the boxes by picture, without those that refer to what is not there."""
    grouped: dict[int | str, list[int]] = {image.id: [] for image in content.images}
    categories = {category.id for category in content.categories}
    for number, record in enumerate(content.annotations):
        lost = (
            f"the picture {record.image_id!r}, which `images`"
            if record.image_id not in grouped
            else f"the category {record.category_id!r}, which `categories`"
            if record.category_id not in categories
            else None
        )
        if lost:
            refuse(
                InvalidDatasetError(
                    f"{annotations}: annotations[{number}] refers to {lost} does not list; list it or remove the "
                    f"annotation."
                )
            )
        else:
            grouped[record.image_id].append(number)
    return grouped

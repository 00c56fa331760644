"""Reads detection sets in COCO's JSON layout whose categories name their WordNet synset.

The layout is the one of https://cocodataset.org/#format-data ("Object Detection") with one field more: each
category carries `wnid`, a node of the WordTree. Only that field joins a set to the tree: names are ambiguous.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, FiniteFloat, PositiveInt, ValidationError

from model.wordtree import WordTree

# What is left of a box after clipping is dropped where a side is shorter, in pixels: there is nothing to see
# in it, and the logarithm of its width would be a wild target.
SHORTEST_SIDE = 0.5

_NAMED_AT_MOST = 5


class InvalidDatasetError(ValueError):
    """A detection set cannot be used; the message names the file, the record and what to do about it."""


@dataclass(frozen=True)
class Category:
    """One category of a set.

    Attributes:
        name: what the set calls it.
        wnid: its WordNet id.
        node: the index of that synset in the tree the set was read with.
    """

    name: str
    wnid: str
    node: int


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """One picture and the boxes drawn on it.

    Attributes:
        path: the picture's file, which exists.
        width: width in pixels, as the annotations state it.
        height: height in pixels, as the annotations state it.
        boxes: float32 [N, 4], x1, y1, x2, y2 in pixels, inside the picture, no side below `SHORTEST_SIDE`.
        nodes: int32 [N], the tree's index of the synset of each box.
        crowd_boxes: float32 [M, 4], boxes drawn around a crowd of things (`iscrowd`): no use for training,
            and what is found inside them counts neither for nor against a detector.
        crowd_nodes: int32 [M].
    """

    path: Path
    width: int
    height: int
    boxes: NDArray[np.float32]
    nodes: NDArray[np.int32]
    crowd_boxes: NDArray[np.float32]
    crowd_nodes: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class DetectionSet:
    """A detection set.

    Attributes:
        name: the stem of the annotations' file name.
        pictures: in the order of the file; one without a box is a picture of background.
        categories: in the order of the file. Two may share a wnid: they are one concept.
        clipped: number of boxes that reached more than a pixel beyond their picture and were cut at its edge.
        dropped: number of boxes left out because nothing of them (see `SHORTEST_SIDE`) lies in their picture.
    """

    name: str
    pictures: tuple[LabelledPicture, ...]
    categories: tuple[Category, ...]
    clipped: int = 0
    dropped: int = 0

    @cached_property
    def present(self) -> NDArray[np.int32]:
        """The nodes that at least one box (a crowd's aside) is labelled with, int32, ascending."""
        nodes = [picture.nodes for picture in self.pictures]
        return np.unique(np.concatenate(nodes)) if nodes else np.empty(0, np.int32)

    @cached_property
    def box_count(self) -> int:
        """The number of boxes, without those of crowds."""
        return sum(len(picture.nodes) for picture in self.pictures)


class _Image(BaseModel):
    id: int | str
    file_name: str
    width: PositiveInt
    height: PositiveInt


class _Annotation(BaseModel):
    image_id: int | str
    category_id: int | str
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    iscrowd: bool = False


class _Category(BaseModel):
    id: int | str
    name: str
    wnid: str | None = None


class _CocoFile(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_coco(annotations: Path, pictures: Path, tree: WordTree) -> DetectionSet:
    """Read a detection set and check that it can be used with `tree`.

    Args:
        annotations: COCO JSON; boxes are x, y, width, height in pixels.
        pictures: the folder that the `file_name`s are relative to.
        tree: what the nodes of the answer index.

    Raises:
        InvalidDatasetError: the file is not such a JSON, a picture is missing, a category has no `wnid` or
            one that the tree lacks, or a record refers to another that is not there.
    """
    content = _parse(annotations)
    if not content.images:
        raise InvalidDatasetError(f"{annotations}: `images` is empty; a detection set needs at least one picture.")
    _check_unique(annotations, "images", [image.id for image in content.images])
    _check_unique(annotations, "categories", [category.id for category in content.categories])
    categories = _categories(annotations, content.categories, tree)
    _check_pictures(annotations, pictures, content.images)
    grouped = _group(annotations, content)
    nodes = {record.id: category.node for record, category in zip(content.categories, categories, strict=True)}
    clipped = dropped = 0
    labelled = []
    for image in content.images:
        records = grouped[image.id]
        boxes, outside, visible = _clip([record.bbox for record in records], image.width, image.height)
        crowd = np.array([record.iscrowd for record in records], bool)[visible]
        labels = np.array([nodes[record.category_id] for record in records], np.int32)[visible]
        clipped += int((outside & visible).sum())
        dropped += int((~visible).sum())
        labelled.append(
            LabelledPicture(
                path=pictures / image.file_name,
                width=image.width,
                height=image.height,
                boxes=boxes[visible][~crowd],
                nodes=labels[~crowd],
                crowd_boxes=boxes[visible][crowd],
                crowd_nodes=labels[crowd],
            )
        )
    return DetectionSet(annotations.stem, tuple(labelled), categories, clipped, dropped)


def _parse(annotations: Path) -> _CocoFile:
    try:
        content = annotations.read_bytes()
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
            f"{annotations}: `{what}` uses the id {_some(twice)} more than once; give every record its own."
        )


def _categories(annotations: Path, records: Sequence[_Category], tree: WordTree) -> tuple[Category, ...]:
    without = [f"{record.id} ({record.name})" for record in records if not record.wnid]
    if without:
        raise InvalidDatasetError(
            f"{annotations}: no `wnid` in category {_some(without)}; add to every category the WordNet id of "
            f'what it shows, such as "wnid": "n02084071" for a dog (`yolo9000 classes dog` searches for it).'
        )
    outside = [f"{record.id} ({record.name}, {record.wnid})" for record in records if record.wnid not in tree]
    if outside:
        raise InvalidDatasetError(
            f"{annotations}: the tree of {len(tree)} concepts lacks the wnid of category {_some(outside)}; "
            f"use that of the nearest more general concept in it (`yolo9000 classes QUERY` searches it)."
        )
    return tuple(Category(record.name, wnid, tree.index(wnid)) for record in records if (wnid := record.wnid))


def _check_pictures(annotations: Path, pictures: Path, images: Sequence[_Image]) -> None:
    missing = [image.file_name for image in images if not (pictures / image.file_name).is_file()]
    if missing:
        raise InvalidDatasetError(
            f"{annotations}: {len(missing)} of its {len(images)} pictures are not in {pictures}: "
            f"{_some(missing)}; fetch them, or give the folder that the file names are relative to."
        )


def _group(annotations: Path, content: _CocoFile) -> dict[int | str, list[_Annotation]]:
    """Gather the boxes by picture, having checked what they refer to."""
    grouped: dict[int | str, list[_Annotation]] = {image.id: [] for image in content.images}
    categories = {category.id for category in content.categories}
    for number, record in enumerate(content.annotations):
        if record.image_id not in grouped:
            raise InvalidDatasetError(
                f"{annotations}: annotations[{number}] refers to the picture {record.image_id!r}, which "
                f"`images` does not list; list it or remove the annotation."
            )
        if record.category_id not in categories:
            raise InvalidDatasetError(
                f"{annotations}: annotations[{number}] refers to the category {record.category_id!r}, which "
                f"`categories` does not list; list it or remove the annotation."
            )
        grouped[record.image_id].append(record)
    return grouped


def _clip(
    boxes: Sequence[tuple[float, float, float, float]], width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Turn x, y, width, height into corners inside the picture; say which reached outside, which remain."""
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    limit = np.array([width, height, width, height])
    inside = corners.clip(0, limit).astype(np.float32)
    outside = np.any(np.abs(corners - inside) > 1, axis=1)
    visible = np.all(inside[:, 2:] - inside[:, :2] >= SHORTEST_SIDE, axis=1)
    return inside, outside, visible


def _some(items: Sequence[object]) -> str:
    named = ", ".join(str(item) for item in items[:_NAMED_AT_MOST])
    left = len(items) - _NAMED_AT_MOST
    return f"{named} and {left} more" if left > 0 else named

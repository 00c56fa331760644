"""Reads detection sets in COCO's JSON layout whose categories name their WordNet synset.

The layout is the one of https://cocodataset.org/#format-data ("Object Detection") with one field more: each
category carries `wnid`, a node of the WordTree. Only that field joins a set to the tree: names are ambiguous.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, FiniteFloat, PositiveInt, ValidationError

from model.text_files import read_json
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
class BoxedPicture:
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
        difficult: bool [N], boxes that are hard to tell even for people, which PASCAL VOC's rules leave out of a score;
            None where the set does not say.
    """

    path: Path
    width: int
    height: int
    boxes: NDArray[np.float32]
    nodes: NDArray[np.int32]
    crowd_boxes: NDArray[np.float32]
    crowd_nodes: NDArray[np.int32]
    difficult: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class DetectionSet:
    """A detection set.

    Attributes:
        name: what the set is called in reports: the stem of its annotations' name.
        pictures: in the order of the file; one without a box is a picture of background.
        categories: in the order of the file. Two may share a wnid: they are one concept.
        clipped: number of boxes that reached more than a pixel beyond their picture and were cut at its edge.
        dropped: number of boxes left out because nothing of them (see `SHORTEST_SIDE`) lies in their picture.
    """

    name: str
    pictures: tuple[BoxedPicture, ...]
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
    difficult: bool = False


class _Category(BaseModel):
    id: int | str
    name: str
    wnid: str | None = None


class _CocoFile(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


class ClippedPicture(NamedTuple):
    """A picture with its boxes cut at its edges, and how many were `clipped` and `dropped`, see `DetectionSet`."""

    picture: BoxedPicture
    clipped: int
    dropped: int


def clip_picture(
    path: Path,
    size: tuple[int, int],
    corners: NDArray[np.float64],
    nodes: NDArray[np.int32],
    *,
    crowd: NDArray[np.bool_] | None = None,
    difficult: NDArray[np.bool_] | None = None,
) -> ClippedPicture:
    """Cut boxes at the edges of their picture.

    Args:
        path: the picture's file.
        size: its width and height in pixels.
        corners: [N, 4], x1, y1, x2, y2 in pixels.
        nodes: [N].
        crowd: [N], which are drawn around a crowd; None for none.
        difficult: [N]; None where that is not known.
    """
    width, height = size
    inside = corners.clip(0, np.array([width, height, width, height])).astype(np.float32)
    outside = np.any(np.abs(corners - inside) > 1, axis=1)
    visible = np.all(inside[:, 2:] - inside[:, :2] >= SHORTEST_SIDE, axis=1)
    crowds = visible & (np.zeros(len(corners), bool) if crowd is None else crowd)
    single = visible & ~crowds
    picture = BoxedPicture(
        path=path,
        width=width,
        height=height,
        boxes=inside[single],
        nodes=nodes[single],
        crowd_boxes=inside[crowds],
        crowd_nodes=nodes[crowds],
        difficult=None if difficult is None else difficult[single],
    )
    return ClippedPicture(picture, int((outside & visible).sum()), int((~visible).sum()))


def read_coco(
    annotations: Path, pictures: Path, tree: WordTree, label_map: Mapping[str, str] | None = None
) -> DetectionSet:
    """Read a detection set and check that it can be used with `tree`.

    Args:
        annotations: COCO JSON; boxes are x, y, width, height in pixels.
        pictures: the folder that the `file_name`s are relative to.
        tree: what the nodes of the answer index.
        label_map: the wnid of categories, by name, that have none in the file.

    Raises:
        InvalidDatasetError: the file is not such a JSON, a picture is missing, a category has no `wnid` or
            one that the tree lacks, or a record refers to another that is not there.
    """
    content = _parse(annotations)
    if not content.images:
        raise InvalidDatasetError(f"{annotations}: `images` is empty; a detection set needs at least one picture.")
    _check_unique(annotations, "images", [image.id for image in content.images])
    _check_unique(annotations, "categories", [category.id for category in content.categories])
    named = label_map or {}
    records = [
        record if record.wnid else record.model_copy(update={"wnid": named.get(record.name)})
        for record in content.categories
    ]
    categories = _categories(annotations, records, tree)
    _check_pictures(annotations, pictures, content.images)
    grouped = _group(annotations, content)
    nodes = {record.id: category.node for record, category in zip(content.categories, categories, strict=True)}
    known = any("difficult" in record.model_fields_set for record in content.annotations)
    clipped = []
    for image in content.images:
        boxes = grouped[image.id]
        corners = np.array([record.bbox for record in boxes], np.float64).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        clipped.append(
            clip_picture(
                pictures / image.file_name,
                (image.width, image.height),
                corners,
                np.array([nodes[record.category_id] for record in boxes], np.int32),
                crowd=np.array([record.iscrowd for record in boxes], bool),
                difficult=np.array([record.difficult for record in boxes], bool) if known else None,
            )
        )
    return detection_set(annotations.stem, clipped, categories)


def detection_set(name: str, pictures: Sequence[ClippedPicture], categories: Sequence[Category]) -> DetectionSet:
    """Gather pictures into a set."""
    return DetectionSet(
        name,
        tuple(one.picture for one in pictures),
        tuple(categories),
        clipped=sum(one.clipped for one in pictures),
        dropped=sum(one.dropped for one in pictures),
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


def _categories(annotations: Path, records: Sequence[_Category], tree: WordTree) -> tuple[Category, ...]:
    without = [f"{record.id} ({record.name})" for record in records if not record.wnid]
    if without:
        raise InvalidDatasetError(
            f"{annotations}: no `wnid` in category {some_of(without)}; add to every category the WordNet id of "
            f'what it shows, such as "wnid": "n02084071" for a dog (`yolo9000 classes dog` searches for it).'
        )
    outside = [f"{record.id} ({record.name}, {record.wnid})" for record in records if record.wnid not in tree]
    if outside:
        raise InvalidDatasetError(
            f"{annotations}: the tree of {len(tree)} concepts lacks the wnid of category {some_of(outside)}; "
            f"use that of the nearest more general concept in it (`yolo9000 classes QUERY` searches it)."
        )
    return tuple(Category(record.name, wnid, tree.index(wnid)) for record in records if (wnid := record.wnid))


def _check_pictures(annotations: Path, pictures: Path, images: Sequence[_Image]) -> None:
    missing = [image.file_name for image in images if not (pictures / image.file_name).is_file()]
    if missing:
        raise InvalidDatasetError(
            f"{annotations}: {len(missing)} of its {len(images)} pictures are not in {pictures}: "
            f"{some_of(missing)}; fetch them, or give the folder that the file names are relative to."
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


def some_of(items: Sequence[object]) -> str:
    """Return the first few of many things as words, and how many are left."""
    named = ", ".join(str(item) for item in items[:_NAMED_AT_MOST])
    left = len(items) - _NAMED_AT_MOST
    return f"{named} and {left} more" if left > 0 else named

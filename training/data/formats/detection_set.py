"""A detection set, whatever layout it came in: its pictures, its boxes, and what was wrong with some of them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.data.pictures.columns import BoxedPictures
from training.data.pictures.picture import BoxedPicture

logger = logging.getLogger(__name__)

SHORTEST_SIDE: Final = 0.5
"""Pixels. A box is dropped if a side is shorter after clipping: there is nothing to see in it, and the logarithm of its
width would be a wild target."""

_NAMED_AT_MOST = 5


class InvalidDatasetError(ValueError):
    """A detection set cannot be used; the message names the file, the record and what to do about it."""


Refuse = Callable[[InvalidDatasetError], None]
"""What a reader does about something that it cannot use: it raises, or takes note, and the reader goes on without."""


def refuse_set(error: InvalidDatasetError) -> None:
    """Refuse the whole set.

    Raises:
        InvalidDatasetError: always.
    """
    raise error


@dataclass(frozen=True)
class Category:
    """One category of a set.

    Attributes:
        name: what the set calls it.
        wnid: its WordNet id; empty where it is not clear, and the reader went on all the same.
        node: the index of that synset in the tree the set was read with; a negative one of its own where it has none.
    """

    name: str
    wnid: str
    node: int


@dataclass(frozen=True, eq=False)
class DetectionSet:
    """A detection set.

    Attributes:
        name: what the set is called in reports: the stem of its annotations' name.
        pictures: in the order of the file; one without a box is a picture of background.
        categories: in the order of the file. Two may share a wnid: they are one concept.
        clipped: number of boxes that reached more than a pixel beyond their picture and were cut at its edge.
        dropped: number of boxes left out because nothing of them (see `SHORTEST_SIDE`) lies in their picture, or they
            are there already.
        remarks: what was cut, dropped, left aside or found otherwise than its annotations say, in words, a kind each.
    """

    name: str
    pictures: BoxedPictures
    categories: tuple[Category, ...]
    clipped: int = 0
    dropped: int = 0
    remarks: tuple[str, ...] = ()

    @cached_property
    def present(self) -> NDArray[np.int32]:
        """The nodes that at least one box (a crowd's aside) is labelled with, int32, ascending."""
        return np.unique(self.pictures.labels())

    @cached_property
    def box_count(self) -> int:
        """The number of boxes, without those of crowds."""
        return len(self.pictures.labels())


class ClippedPicture(NamedTuple):
    """A picture with its boxes cut at its edges, and what happened to them.

    Attributes:
        picture: with the boxes that are left.
        given: number of boxes that its annotations have.
        clipped: says of each box that was cut where it is in the annotations and why it was.
        dropped: the same of each box that was left out.
        within_a_pixel: all the boxes that were given lie within a pixel of the top left corner.
    """

    picture: BoxedPicture
    given: int
    clipped: Sequence[str]
    dropped: Sequence[str]
    within_a_pixel: bool


def clip_picture(
    path: Path,
    size: tuple[int, int],
    corners: NDArray[np.float64],
    nodes: NDArray[np.int32],
    where: Sequence[str],
    *,
    crowd: NDArray[np.bool_] | None = None,
    difficult: NDArray[np.bool_] | None = None,
) -> ClippedPicture:
    """Cut boxes at the edges of their picture, and leave out those of which nothing is left or that are there already.

    Args:
        path: the picture's file.
        size: its width and height in pixels.
        corners: [N, 4], x1, y1, x2, y2 in pixels.
        nodes: [N].
        where: [N], the place of each box in the annotations, for messages.
        crowd: [N], which are drawn around a crowd; None for none.
        difficult: [N]; None where that is not known.
    """
    width, height = size
    inside = corners.clip(0, np.array([width, height, width, height])).astype(np.float32)
    outside = np.any(np.abs(corners - inside) > 1, axis=1)
    visible = np.all(inside[:, 2:] - inside[:, :2] >= SHORTEST_SIDE, axis=1)
    around = np.zeros(len(corners), bool) if crowd is None else crowd
    twins = _twins(corners, nodes, around)
    visible &= twins < 0
    crowds = visible & around
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

    def twin(number: int) -> str:
        return f"the same as {where[twins[number]]}" if twins[number] >= 0 else ""

    def told(chosen: NDArray[np.bool_]) -> list[str]:
        return [
            f"{where[number]} ({twin(number) or _problem(corners[number], size)}; {_sides(corners[number])}, "
            f"{path.name} is {width}x{height})"
            for number in chosen.nonzero()[0].tolist()
        ]

    return ClippedPicture(
        picture, len(corners), told(outside & visible), told(~visible), bool(np.all(np.abs(corners) <= 1))
    )


def _twins(corners: NDArray[np.float64], nodes: NDArray[np.int32], crowd: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for each box the first that is the same in everything, -1 for those that are the first themselves."""
    first: dict[tuple[object, ...], int] = {}
    records = zip(*corners.T.tolist(), nodes.tolist(), crowd.tolist(), strict=True) if len(corners) else ()
    same = [first.setdefault(record, number) for number, record in enumerate(records)]
    return np.array([-1 if other == number else other for number, other in enumerate(same)], np.int64)


def _sides(corners: NDArray[np.float64]) -> str:
    x1, y1, x2, y2 = corners.tolist()
    return f"x {x1:g} to {x2:g}, y {y1:g} to {y2:g}"


def _problem(corners: NDArray[np.float64], size: tuple[int, int]) -> str:
    """Say what is wrong with a box that is cut or dropped."""
    x1, y1, x2, y2 = corners.tolist()
    if x2 < x1 or y2 < y1:
        return f"negative {'width' if x2 < x1 else 'height'}"
    if x2 <= 0 or y2 <= 0 or x1 >= size[0] or y1 >= size[1]:
        return "outside the picture"
    if min(x1, y1) < -1 or x2 > size[0] + 1 or y2 > size[1] + 1:
        return "partly outside the picture"
    return f"a side below {SHORTEST_SIDE} pixels"


def gather(
    source: Path,
    name: str,
    pictures: Sequence[ClippedPicture],
    categories: Sequence[Category],
    box_form: str,
    remarks: Sequence[str] = (),
    refuse: Refuse = refuse_set,
    folder: Path = Path(),
) -> DetectionSet:
    """Gather pictures into a set; log how many boxes were cut or dropped, which were first, and what else there was.

    Args:
        source: of the annotations, for messages.
        name: see `DetectionSet`.
        pictures: of the set.
        categories: of the set.
        box_form: how the layout wants a box, for messages.
        remarks: see `DetectionSet`; of what the layout's reader found.
        refuse: what to do about boxes that cannot be used.
        folder: in which most of the pictures are.

    Raises:
        InvalidDatasetError: no box is left of those that were given, or all lie within a pixel.
    """
    given = sum(one.given for one in pictures)
    clipped = [one for picture in pictures for one in picture.clipped]
    dropped = [one for picture in pictures for one in picture.dropped]
    if given and all(one.within_a_pixel for one in pictures):
        refuse(
            InvalidDatasetError(
                f"{source}: all {given} boxes lie within one pixel of their picture's corner. Are they fractions of "
                f"the picture? Boxes are needed as {box_form}"
            )
        )
    elif given and len(dropped) == given:
        refuse(
            InvalidDatasetError(
                f"{source}: none of the {given} boxes can be used: {some_of(dropped)}. Boxes are needed as {box_form}"
            )
        )
    every = list(remarks)
    if dropped:
        every.append(f"dropped {len(dropped)} of {given} boxes: {some_of(dropped)}")
    if clipped:
        every.append(f"cut {len(clipped)} of {given} boxes at the edge: {some_of(clipped)}")
    for remark in every:
        logger.warning("%s: %s", source, remark)
    return DetectionSet(
        name,
        BoxedPictures.of((one.picture for one in pictures), folder),
        tuple(categories),
        clipped=len(clipped),
        dropped=len(dropped),
        remarks=tuple(every),
    )


def some_of(items: Sequence[object]) -> str:
    """Return the first few of many things as words, and how many are left."""
    named = ", ".join(str(item) for item in items[:_NAMED_AT_MOST])
    left = len(items) - _NAMED_AT_MOST
    return f"{named} and {left} more" if left > 0 else named

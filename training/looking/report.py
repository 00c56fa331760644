"""What `look` says of sets: counts, sizes, classes, and what is wrong or odd."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from model.wordtree import WordTree
from training.data.pictures.picture import BoxedPicture
from training.looking.odd import odd_boxes, rare_classes, same_pictures
from training.looking.sets import SetRead

SMALL: Final = 32**2
LARGE: Final = 96**2
"""Areas, px: COCO calls boxes below the first small, and those from the second on large."""
CLASSES_AT_MOST: Final = 30
"""Classes that the text lists."""


class ClassCount(BaseModel):
    """A class: what the set calls it, its concept (none where that is not clear), and how much there is of it."""

    model_config = ConfigDict(frozen=True)

    name: str
    wnid: str | None
    concept: str | None
    boxes: int
    pictures: int


class Boxes(BaseModel):
    """The boxes of a set.

    Attributes:
        count: of all, crowds aside.
        crowds: boxes around crowds.
        difficult: boxes that are marked as hard to tell.
        most: in one picture.
        small, medium, large: by COCO's areas, in the pixels of the annotations.
    """

    model_config = ConfigDict(frozen=True)

    count: int
    crowds: int
    difficult: int
    most: int
    small: int
    medium: int
    large: int


class SetLook(BaseModel):
    """What there is to say of a set.

    Attributes:
        name: of the set.
        pictures: that can be used.
        without_boxes: pictures of background.
        least, median, greatest: width and height of pictures by their area; None where there are none.
        boxes: None where pictures have a label alone.
        classes: the most frequent first.
        refused: why training would refuse the set.
        told: what training would tell and do about it.
        odd: what somebody should look at.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    pictures: int
    without_boxes: int
    least: tuple[int, int] | None
    median: tuple[int, int] | None
    greatest: tuple[int, int] | None
    boxes: Boxes | None
    classes: tuple[ClassCount, ...]
    refused: tuple[str, ...]
    told: tuple[str, ...]
    odd: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return it as text."""
        found = [self.name, f"  {_count(self.pictures, 'picture')}{_shapes(self)}"]
        if self.boxes is not None:
            found += [f"  {line}" for line in _boxes_lines(self)]
        if self.classes:
            found.append(f"  {_count(len(self.classes), 'class')}, the most frequent first:")
            found += [f"    {line}" for line in _class_lines(self)]
        for title, records in (
            ("training would refuse it:", self.refused),
            ("training would go on, but tell:", self.told),
            ("odd, to be looked at:", self.odd),
        ):
            if records:
                found += [f"  {title}", *(f"    - {record}" for record in records)]
        return found


class LookReport(BaseModel):
    """What there is to say of all sets.

    Attributes:
        sets: one by one.
        same: pictures that are there twice.
    """

    model_config = ConfigDict(frozen=True)

    sets: tuple[SetLook, ...]
    same: tuple[str, ...]

    def table(self) -> str:
        """Return it as text."""
        lines = [line for one in self.sets for line in (*one.lines(), "")]
        if self.same:
            lines += ["the same picture twice:", *(f"  - {record}" for record in self.same), ""]
        return "\n".join([*lines, self.verdict()])

    def verdict(self) -> str:
        """Say whether one can train on the sets."""
        refused = [one.name for one in self.sets if one.refused]
        if refused:
            return f"Training would refuse {len(refused)} of {len(self.sets)} sets: {'; '.join(refused)}."
        return f"Training would take {'them all' if len(self.sets) > 1 else 'it'}."

    def usable(self, *, strict: bool) -> bool:
        """Tell whether training would take all sets; `strict`: and tell nothing of their boxes, and nothing is odd."""
        return not any(one.refused or (strict and (one.told or one.odd)) for one in self.sets) and not (
            strict and self.same
        )


class Shapes(NamedTuple):
    """Widths and heights of pictures or boxes, float [N, 2]."""

    pictures: NDArray[np.float64]
    boxes: NDArray[np.float64]


def look_at_sets(sets: Sequence[SetRead], tree: WordTree) -> LookReport:
    """Count what is in sets."""
    return LookReport(
        sets=tuple(_look(one, tree) for one in sets),
        same=tuple(same_pictures([(one.name, one.pictures) for one in sets])),
    )


def names_of(one: SetRead, tree: WordTree) -> dict[int, str]:
    """Return what a set calls each node; several names for one node are joined."""
    named: dict[int, list[str]] = {}
    for category in one.categories:
        name = tree.names[category.node] if category.name == category.wnid else category.name
        named.setdefault(category.node, []).append(name)
    return {node: ", ".join(dict.fromkeys(names)) for node, names in named.items()}


def shapes_of(one: SetRead) -> Shapes:
    """Return the widths and heights of a set's pictures and of its boxes, all in pixels."""
    boxes = [picture.boxes[:, 2:] - picture.boxes[:, :2] for picture in _boxed(one)]
    return Shapes(
        np.array([one.sizes[picture.path] for picture in one.pictures], np.float64).reshape(-1, 2),
        np.concatenate(boxes).astype(np.float64) if boxes else np.zeros((0, 2)),
    )


def _boxed(one: SetRead) -> list[BoxedPicture]:
    return [picture for picture in one.pictures if isinstance(picture, BoxedPicture)]


def _look(one: SetRead, tree: WordTree) -> SetLook:
    names, boxed, shapes = names_of(one, tree), _boxed(one), shapes_of(one)
    boxes, pictures = Counter[int](), Counter[int]()
    for picture in one.pictures:
        nodes = picture.nodes.tolist() if isinstance(picture, BoxedPicture) else [picture.node]
        boxes.update(nodes)
        pictures.update(set(nodes))
    classes = [
        ClassCount(
            name=name,
            wnid=tree.wnids[node] if node >= 0 else None,
            concept=tree.names[node] if node >= 0 else None,
            boxes=boxes[node],
            pictures=pictures[node],
        )
        for node, name in names.items()
    ]
    classes.sort(key=lambda count: (-count.boxes, count.name))
    order = np.argsort(shapes.pictures.prod(1), kind="stable")
    least, median, greatest = (
        ((int(shape[0]), int(shape[1])) for shape in shapes.pictures[order[[0, len(order) // 2, -1]]])
        if len(order)
        else (None, None, None)
    )
    odd = odd_boxes(boxed, names)
    return SetLook(
        name=one.name,
        pictures=len(one.pictures),
        without_boxes=sum(not len(picture.nodes) for picture in boxed),
        least=least,
        median=median,
        greatest=greatest,
        boxes=_boxes(boxed, shapes.boxes.prod(1)) if boxed else None,
        classes=tuple(classes),
        refused=one.refused,
        told=one.told,
        odd=(*odd, *rare_classes([(count.name, count.boxes) for count in classes])),
    )


def _boxes(pictures: Sequence[BoxedPicture], areas: NDArray[np.float64]) -> Boxes:
    small, large = int((areas < SMALL).sum()), int((areas >= LARGE).sum())
    return Boxes(
        count=len(areas),
        crowds=sum(len(picture.crowd_nodes) for picture in pictures),
        difficult=sum(int(picture.difficult.sum()) for picture in pictures if picture.difficult is not None),
        most=max(len(picture.nodes) for picture in pictures),
        small=small,
        medium=len(areas) - small - large,
        large=large,
    )


def _boxes_lines(one: SetLook) -> list[str]:
    boxes = one.boxes
    if boxes is None or not one.pictures:
        return []
    lines = [
        (
            f"{_count(boxes.count, 'box')}, {boxes.count / one.pictures:.1f} a picture and {boxes.most} at most; "
            f"{_count(one.without_boxes, 'picture')} without one"
        )
    ]
    if boxes.count:
        shares = (f"{name} {getattr(boxes, name) / boxes.count:.0%}" for name in ("small", "medium", "large"))
        lines.append(f"by size (COCO's: below 32 x 32 px, from 96 x 96 px on): {', '.join(shares)}")
    extra = [f"{count} {what}" for count, what in ((boxes.crowds, "crowds"), (boxes.difficult, "difficult")) if count]
    return [*lines, *([f"of them marked: {', '.join(extra)}"] if extra else [])]


def _class_lines(look: SetLook) -> list[str]:
    shown, left = look.classes[:CLASSES_AT_MOST], look.classes[CLASSES_AT_MOST:]
    width = max((len(str(one.boxes)) for one in shown), default=0)
    lines = []
    for one in shown:
        where = "" if look.boxes is None else f", in {_count(one.pictures, 'picture')}"
        lines.append(f"{one.boxes:{width}}  {one.name} = {_concept(one)}{where}")
    what = "pictures" if look.boxes is None else "boxes"
    return [*lines, *([f"and {len(left)} more with {sum(one.boxes for one in left)} {what}"] if left else [])]


def _concept(one: ClassCount) -> str:
    return f"{one.wnid} ({one.concept})" if one.wnid else "not clear"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}{'es' if what.endswith(('s', 'x')) else 's'}"


def _shapes(look: SetLook) -> str:
    if look.least is None or look.median is None or look.greatest is None:
        return ""
    least, median, greatest = (f"{width} x {height}" for width, height in (look.least, look.median, look.greatest))
    if least == greatest:
        return f", all of {least} px" if look.pictures > 1 else f" of {least} px"
    return f", {least} to {greatest} px, in the middle {median}"

"""Pictures of a concept, and the boxes that show it: the best by objectness, or those that somebody drew.

For a picture with a label alone the paper takes the box that says the label with the greatest probability (section 4).
A concept that is to be learned has no probability yet, so it is the box of greatest objectness, and in doubt the one
nearer to the middle, where people put what they photograph. What else is found in the picture may show the concept too,
a second kangaroo: once rows are fitted, they say so (`training.teaching.examples.with_more`).
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.geometry import Letterbox, box_iou
from model.pictures.decoding import decode_picture, letterbox
from model.pictures.errors import PictureError
from model.wordtree import WordTree
from training.data.formats.archives import opened
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.layouts.data_yaml import is_yaml
from training.data.formats.layouts.exports import find_parts
from training.data.formats.picture_files import list_pictures
from training.data.formats.read import locate, read_detection_set
from training.teaching.file.seen import Eye, Seen
from training.teaching.memory import sureness

Floats = NDArray[np.float32]

LEAST_OBJECTNESS: Final = 0.05
"""Of a box that may show what a picture is of."""
FAR: Final = 0.5
"""Share of its objectness that a box at the edge of a picture loses against one in the middle."""
SAME_OBJECT: Final = 0.6
"""IoU with the chosen box from which another shows the same object: a further view of it."""
DRAWN: Final = 0.5
"""IoU with a drawn box from which a found box shows what was drawn."""
MOST_VIEWS: Final = 3
"""Boxes of one object in one look."""
OTHER_OBJECT: Final = 0.5
"""IoU with all boxes before it below which a box shows something else."""
MOST_OTHERS: Final = 5
"""Other objects in one look."""


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """A picture of a concept.

    Attributes:
        path: its file.
        content: its bytes.
        boxes: float32 [N, 4], what was drawn in it, in pixels of the picture; None where nothing was.
    """

    path: Path
    content: bytes
    boxes: Floats | None = None

    @property
    def digest(self) -> bytes:
        """The same for the same file under another name."""
        return hashlib.sha256(self.content).digest()


@dataclass(frozen=True, eq=False)
class Views:
    """The V views of what a picture shows; the first is the one that an answer would be about.

    Attributes:
        vectors: float32 [V, D]; sureness: float32 [V, 3], see `training.teaching.memory`.
        class_logits: float32 [1, T], what the old class layer says of the first.
        objectness: of the first.
        others: vectors [O, D] and sureness [O, 3] of what else is found in the picture; none where boxes are drawn.
    """

    vectors: Floats
    sureness: Floats
    class_logits: Floats
    objectness: float
    others: tuple[Floats, Floats]


def read_pictures(
    place: str, wnid: str, tree: WordTree, label_map: Path | None, *, strict: bool = False
) -> tuple[LabelledPicture, ...]:
    """Return the pictures of a concept.

    Args:
        place: a folder of pictures, or a detection set of which the concept's boxes count: ANNOTATIONS:FOLDER, a
            data.yaml that says where its pictures are, or an export. Either may be a zip file.
        wnid: the concept.
        tree: holds it.
        label_map: of the detection set's classes.
        strict: see `read_detection_set`.

    Raises:
        InvalidDatasetError: there is no such folder or set, or a picture cannot be read.
    """
    folder = opened(Path(place))
    boxed = bool(find_parts(folder)) if folder.is_dir() else is_yaml(folder) or bool(place.rpartition(":")[0])
    if boxed:
        found = read_detection_set(*locate(place, Path()), tree, label_map, strict=strict)
        node = tree.index(wnid)
        return tuple(
            LabelledPicture(one.path, _content(one.path), one.boxes[one.nodes == node])
            for one in found.pictures
            if (one.nodes == node).any()
        )
    if not folder.is_dir():
        raise InvalidDatasetError(f"{place}: there is no such folder of pictures")
    return tuple(LabelledPicture(path, _content(path)) for path in list_pictures(folder))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidDatasetError(f"{path}: this picture cannot be read: {error}") from error


def look_at(eye: Eye, picture: LabelledPicture, sizes: Sequence[int], *, mirrored: bool = True) -> Views | None:
    """Look at a picture at each size; return None where nothing of the kind is found in it.

    Args:
        eye: of the model.
        picture: see there.
        sizes: sides of the square input, px.
        mirrored: look at the mirrored picture as well.

    Raises:
        InvalidDatasetError: it cannot be read.
    """
    try:
        image = decode_picture(picture.content)
    except PictureError as error:
        raise InvalidDatasetError(
            f"{picture.path}: this picture cannot be read: {error}; replace it, or take it away"
        ) from error
    views: list[Seen] = []
    others: list[Seen] = []
    for size in sizes:
        square, frame = letterbox(image, size)
        for turned in (False, True) if mirrored else (False,):
            given = np.ascontiguousarray(square[:, ::-1]) if turned else square
            seen = eye.look(given, LEAST_OBJECTNESS)
            boxes = _mirrored(seen.boxes, size) if turned else seen.boxes
            seen = seen._replace(boxes=frame.to_picture(boxes))
            chosen = list(_chosen(seen, picture.boxes, frame))
            views += chosen
            if chosen and picture.boxes is None:
                others.append(_others(seen, chosen[0].boxes[:1]))
    if not views:
        return None
    every, rest = _joined(views), _joined(others or [_some(views[0], [])])
    return Views(
        every.vectors,
        sureness(every.classifier),
        every.class_logits[:1],
        float(every.objectness[0]),
        (rest.vectors, sureness(rest.classifier)),
    )


def _some(seen: Seen, rows: Sequence[int] | NDArray[np.intp]) -> Seen:
    return Seen(*(column[np.asarray(rows, np.intp)] for column in seen))


def _joined(seen: Sequence[Seen]) -> Seen:
    return Seen(*(np.concatenate(column) for column in zip(*seen, strict=True)))


def _mirrored(boxes: Floats, size: int) -> Floats:
    return np.stack([size - boxes[:, 2], boxes[:, 1], size - boxes[:, 0], boxes[:, 3]], axis=1)


def _chosen(seen: Seen, drawn: Floats | None, frame: Letterbox) -> Iterator[Seen]:
    """Yield the boxes of each object that counts, the best of each first."""
    if drawn is None:
        best = _best(seen, frame)
        overlaps = [] if best is None else [box_iou(seen.boxes[best : best + 1], seen.boxes)[0] >= SAME_OBJECT]
    else:
        overlaps = list(box_iou(drawn, seen.boxes) >= DRAWN)
    for same in overlaps:
        rows = np.flatnonzero(same)
        if drawn is not None:
            rows = rows[np.argsort(-seen.objectness[rows], kind="stable")]
        else:
            rows = np.concatenate([[best], rows[rows != best][np.argsort(-seen.objectness[rows[rows != best]])]])
        if len(rows):
            yield _some(seen, rows[:MOST_VIEWS])


def _others(seen: Seen, chosen: Floats) -> Seen:
    """Return a box of each other object: the surest boxes that overlap neither the chosen one [1, 4] nor each other."""
    taken, rows = chosen, list[int]()
    for row in np.argsort(-seen.objectness, kind="stable").tolist():
        if len(rows) == MOST_OTHERS:
            break
        box = seen.boxes[row : row + 1]
        if (box_iou(box, taken) < OTHER_OBJECT).all():
            taken = np.concatenate([taken, box])
            rows.append(row)
    return _some(seen, rows)


def _best(seen: Seen, frame: Letterbox) -> int | None:
    """Return the box that shows what a picture is of."""
    if not len(seen.boxes):
        return None
    half = np.array([frame.width, frame.height]) / 2
    middle = (seen.boxes[:, :2] + seen.boxes[:, 2:]) / 2
    distance = np.linalg.norm((middle - half) / half, axis=1) / np.sqrt(2)
    return int((seen.objectness * (1 - FAR * distance)).argmax())

"""One picture and what is labelled on it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.shards.files import Span


@dataclass(frozen=True, eq=False)
class BoxedPicture:
    """One picture and the boxes drawn on it.

    Attributes:
        path: the picture's file, which exists.
        width: width in pixels, as the annotations state it.
        height: height in pixels, as the annotations state it.
        boxes: float32 [N, 4], x1, y1, x2, y2 in pixels, inside the picture, no side below
            `training.data.formats.detection_set.SHORTEST_SIDE`.
        nodes: int32 [N], the tree's index of the synset of each box.
        crowd_boxes: float32 [M, 4], boxes drawn around a crowd of things (`iscrowd`): no use for training,
            and what is found inside them counts neither for nor against a detector.
        crowd_nodes: int32 [M].
        difficult: bool [N], boxes that are hard to tell even for people, which PASCAL VOC's rules leave out of a score;
            None where the set does not say.
        span: where it is in a shard; None: it is a file of its own.
    """

    path: Path
    width: int
    height: int
    boxes: NDArray[np.float32]
    nodes: NDArray[np.int32]
    crowd_boxes: NDArray[np.float32]
    crowd_nodes: NDArray[np.int32]
    difficult: NDArray[np.bool_] | None = None
    span: Span | None = None

    def read(self) -> bytes:
        """Return the picture's file.

        Raises:
            OSError, ShardError: it cannot be read.
        """
        return _read(self.path, self.span)


@dataclass(frozen=True)
class LabelOnlyPicture:
    """A picture and what it shows.

    Attributes:
        path: the picture's file.
        node: of the tree; a negative one, as a `Category` has it, where that is not clear.
        span: where it is in a shard; None: it is a file of its own.
    """

    path: Path
    node: int
    span: Span | None = field(default=None, compare=False)

    def read(self) -> bytes:
        """Return the picture's file.

        Raises:
            OSError, ShardError: it cannot be read.
        """
        return _read(self.path, self.span)


Picture = BoxedPicture | LabelOnlyPicture


def _read(path: Path, span: Span | None) -> bytes:
    return path.read_bytes() if span is None else span.read()

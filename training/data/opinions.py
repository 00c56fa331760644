"""What a teacher sees on pictures beyond their labels, and what of it is taught.

A set with a label a picture, or with boxes of some kinds alone, shows things that nobody labelled. Learned as
background they would be unlearned. A detector that knows them looks at every picture once; what it is sure of becomes
an object to learn, weighted by its score, and what it doubts is left alone (as in pseudo-labelling: Sohn et al., "A
simple semi-supervised learning framework for object detection", arXiv 2005.04757).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from model.files.text import read_json
from model.geometry import box_iou
from model.wordtree import UnknownConceptError, WordTree
from training.data.formats.detection_set import InvalidDatasetError
from training.targets import NO_NODE

SAME_OBJECT: Final = 0.5
"""IOU from which what a teacher sees is what somebody drew."""


class Opinion(NamedTuple):
    """What a teacher sees on one picture.

    boxes: float32 [N, 4] x1, y1, x2, y2 in pixels of the picture held upright. nodes: int32 [N], their kinds in the
    tree. scores: float32 [N], 0 to 1.
    """

    boxes: NDArray[np.float32]
    nodes: NDArray[np.int32]
    scores: NDArray[np.float32]


class Beyond(NamedTuple):
    """What is taught of a picture beyond its labels.

    boxes: float32 [N, 4] x1, y1, x2, y2 px. nodes: int32 [N], NO_NODE where only the place is believed. confidence:
    float32 [N], 0 for what is doubted. labelled: whether one of them is the object that the picture's label names.
    """

    boxes: NDArray[np.float32]
    nodes: NDArray[np.int32]
    confidence: NDArray[np.float32]
    labelled: bool = False


class _File(BaseModel):
    """Categories by WordNet id; for each picture rows of score, category, x, y, width, height."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    categories: list[str]
    files: dict[str, list[tuple[float, int, float, float, float, float]]]


@dataclass(frozen=True, eq=False)
class Opinions:
    """A teacher's opinions of the pictures of a set.

    Attributes:
        by_path: of each picture; one that is missing is one on which it sees nothing.
        tree: of the nodes.
        sure: score from which what it sees is taught.
        doubted: score from which nobody says that there is nothing.
    """

    by_path: Mapping[Path, Opinion]
    tree: WordTree
    sure: float
    doubted: float

    def beyond(self, path: Path, boxes: NDArray[np.float32], label: int | None = None) -> Beyond:
        """Return what is taught of a picture beyond its labels.

        Of a picture with a label alone, what it is sure of and calls by a name on the label's line is the object that
        the label names. What it calls otherwise keeps its place and loses its name: a trumpet may well be a "bottle".

        Args:
            path: of the picture.
            boxes: [M, 4] x1, y1, x2, y2 px, the boxes that people drew on it; what overlaps one of them is left out.
            label: the node of a picture with a label alone.
        """
        opinion = self.by_path.get(path)
        if opinion is None:
            return Beyond(np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, np.float32))
        kept = opinion.scores >= self.doubted
        if len(boxes):
            kept &= box_iou(opinion.boxes, boxes).max(axis=1) < SAME_OBJECT
        corners, nodes, scores = opinion.boxes[kept], opinion.nodes[kept], opinion.scores[kept]
        sure = scores >= self.sure
        named = False
        if label is not None:
            on_line = np.array([self._on_line(int(node), label) for node in nodes], np.bool_)
            deeper = np.where(self.tree.depths[nodes] > self.tree.depths[label], nodes, label)
            nodes = np.where(on_line, deeper, NO_NODE)
            named = bool((on_line & sure).any())
        confidence = np.where(sure, scores, 0).astype(np.float32)
        return Beyond(corners, nodes.astype(np.int32), confidence, named)

    def _on_line(self, first: int, second: int) -> bool:
        """Return whether two nodes lie on one line of the tree."""
        shallow, deep = sorted((first, second), key=lambda node: int(self.tree.depths[node]))
        return shallow in self.tree.path(deep)


def read_opinions(path: Path, pictures: Iterable[Path], folder: Path, tree: WordTree) -> dict[Path, Opinion]:
    """Read a teacher's opinions of a set's pictures.

    Args:
        path: JSON: "categories", a list of WordNet ids, and "files", for each picture by its name from the folder
            rows of score, category, x, y, width, height (px).
        pictures: of the set.
        folder: in which its pictures are; the file names them from there.
        tree: of the nodes.

    Raises:
        InvalidDatasetError: the file cannot be used, or says nothing of one of the pictures.
    """
    try:
        content = _File.model_validate_json(read_json(path))
        nodes = np.array([tree.index(wnid) for wnid in content.categories], np.int32)
    except OSError as error:
        raise InvalidDatasetError(f"{path}: the opinions cannot be read ({error.strerror})") from error
    except (ValidationError, UnknownConceptError) as error:
        raise InvalidDatasetError(
            f"{path}: not a teacher's opinions ({error}); delete it, to have it asked again"
        ) from error
    found = {}
    for picture in pictures:
        rows = content.files.get(picture.relative_to(folder).as_posix())
        if rows is None or any(not 0 <= row[1] < len(nodes) for row in rows):
            raise InvalidDatasetError(f"{path}: says nothing of {picture}, or names a category that it does not have")
        table = np.array(rows, np.float32).reshape(-1, 6)
        corners = np.concatenate((table[:, 2:4], table[:, 2:4] + table[:, 4:]), axis=1)
        found[picture] = Opinion(corners, nodes[table[:, 1].astype(np.int64)], table[:, 0])
    return found

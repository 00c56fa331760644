"""Many pictures as columns: some fifty bytes each, once, however many processes read them.

A list of pictures as Python objects takes half a kilobyte each, and every process that reads it gets a copy of its own
in the end, since reading an object writes its reference count (https://github.com/pytorch/pytorch/issues/13246).
Columns are read in place, from memory that a forked process shares or from a file that all of them map, and a picture
becomes an object only while somebody looks at it.
"""

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, Generic, Self, TypeVar, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture
from training.data.shards.files import ShardFiles, Span

ROWS: Final = 1 << 18
"""Pictures of a batch of columns: few batches to look through, and a batch's names and boxes stay below 2 GB."""

CORNERS: Final = pa.list_(pa.field("corner", pa.float32(), nullable=False), 4)

LABELLED: Final = pa.schema(
    [
        ("name", pa.binary()),  # names of files need not be UTF-8
        ("node", pa.int32()),
    ]
)
SIZED: Final = pa.schema([*LABELLED, ("width", pa.int32()), ("height", pa.int32())])
"""The same in an index, where `node` is the number of a class."""
BOXED: Final = pa.schema(
    [
        ("name", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("boxes", pa.list_(CORNERS)),
        ("nodes", pa.list_(pa.int32())),
        ("crowds", pa.int32()),  # how many of the boxes, the last, are drawn around crowds
        ("difficult", pa.list_(pa.bool_())),  # of the others; null where the set does not say
    ]
)

Kind = TypeVar("Kind", BoxedPicture, LabelOnlyPicture)


class Pictures(Sequence[Kind], Generic[Kind]):
    """Pictures of one kind, in order.

    Args:
        batches: their columns, of one schema; as `Mapped` they are read from a file, by other processes, too.
        root: the folder that their names begin at, or the shards they are in.
        rows: int64 [N], which rows of all the batches, and in which order; None: all.
        nodes: int32 [C], the node of each number in the columns `node` and `nodes`; None: they have nodes.
        checked: whether somebody has looked at the pictures' files and found that they can be used.
    """

    def __init__(
        self,
        batches: Sequence[pa.RecordBatch],
        root: Path | ShardFiles,
        rows: NDArray[np.int64] | None = None,
        nodes: NDArray[np.int32] | None = None,
        *,
        checked: bool = False,
    ) -> None:
        self.given = batches
        self.batches = [batch for batch in batches if batch.num_rows]
        self.root, self.rows, self.nodes, self.checked = root, rows, nodes, checked
        self._ends = np.cumsum([batch.num_rows for batch in self.batches])
        self._columns = [self._read(batch) for batch in self.batches]

    def __len__(self) -> int:
        if self.rows is not None:
            return len(self.rows)
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, place: int) -> Kind: ...

    @overload
    def __getitem__(self, place: slice) -> Self: ...

    def __getitem__(self, place: int | slice) -> Kind | Self:
        if isinstance(place, slice):
            return self.select(np.arange(*place.indices(len(self))))
        if not -len(self) <= place < len(self):
            raise IndexError(f"there are {len(self)} pictures, and no {place}")
        place = place % len(self)
        row = place if self.rows is None else int(self.rows[place])
        batch = int(np.searchsorted(self._ends, row, side="right"))
        return self._picture(batch, row - (int(self._ends[batch - 1]) if batch else 0))

    def select(self, places: NDArray[np.int64]) -> Self:
        """Return some of the pictures, which share the columns of all.

        Args:
            places: [N], which of them, in their new order.
        """
        rows = places if self.rows is None else self.rows[places]
        return type(self)(self.given, self.root, rows, self.nodes, checked=self.checked)

    def __reduce__(self) -> tuple[Any, ...]:
        """Give another process the file's name instead of its content, where there is a file."""
        return _restored, (type(self), self.given, self.root, self.rows, self.nodes, self.checked)

    def names(self) -> Iterator[bytes]:
        """Yield every picture's name from the root on, in order."""
        every = (name for batch in self.batches for name in batch.column("name").to_pylist())
        if self.rows is None:
            return every
        found = list(every)
        return (found[row] for row in self.rows.tolist())

    @cached_property
    def shard_ends(self) -> NDArray[np.int64]:
        """For each shard the place behind its last picture; for pictures in shards, which keep their order."""
        assert isinstance(self.root, ShardFiles)
        return self.root.ends if self.rows is None else np.searchsorted(self.rows, self.root.ends)

    @abstractmethod
    def labels(self) -> NDArray[np.int32]:
        """Return the node of every label (a crowd's aside), picture by picture."""

    @abstractmethod
    def _read(self, batch: pa.RecordBatch) -> Any:
        """Return a batch's columns as arrays that share its memory."""

    @abstractmethod
    def _picture(self, batch: int, row: int) -> Kind:
        """Return a picture."""

    def _nodes_of(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        return labels if self.nodes is None else self.nodes[labels]

    def _place(self, batch: int, row: int) -> tuple[Path, Span | None]:
        columns = self.batches[batch]
        name = columns.column("name")[row].as_py()
        if isinstance(self.root, Path):
            return self.root / os.fsdecode(name), None
        shard = self.root.of_row(row + (int(self._ends[batch - 1]) if batch else 0))
        offset, length = (columns.column(part)[row].as_py() for part in ("offset", "length"))
        return self.root.path(shard, name), Span(self.root, shard, offset, length)


def _restored(
    kind: type[Pictures[Any]],
    batches: Sequence[pa.RecordBatch],
    root: Path | ShardFiles,
    rows: NDArray[np.int64] | None,
    nodes: NDArray[np.int32] | None,
    checked: bool,
) -> Pictures[Any]:
    return kind(batches, root, rows, nodes, checked=checked)


class Mapped(Sequence[pa.RecordBatch]):
    """The batches of an Arrow file, mapped into memory: all processes that read it share its pages.

    Raises:
        OSError: the file cannot be read, or is none of Arrow's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> pa.RecordBatch:  # type: ignore[override] # there are no slices
        return self._batches[number]

    def __reduce__(self) -> tuple[Any, ...]:
        return Mapped, (self.path,)


class LabelOnlyPictures(Pictures[LabelOnlyPicture]):
    """Pictures with a label alone."""

    @classmethod
    def of(cls, pictures: Iterable[LabelOnlyPicture], root: Path = Path()) -> Self:
        """Gather pictures."""
        return cls.named(((_name(one.path, root), one.node) for one in pictures), root)

    @classmethod
    def named(cls, pictures: Iterable[tuple[bytes, int]], root: Path) -> Self:
        """Gather pictures by their names from the root on, and their nodes."""
        batches = []
        pictures = iter(pictures)
        while some := list(islice(pictures, ROWS)):
            batches.append(pa.record_batch([list(column) for column in zip(*some, strict=True)], schema=LABELLED))
        return cls(batches, root)

    def labels(self) -> NDArray[np.int32]:
        """Return the node of every picture."""
        nodes = np.concatenate([*self._columns, np.empty(0, np.int32)])
        return self._nodes_of(nodes if self.rows is None else nodes[self.rows])

    def _read(self, batch: pa.RecordBatch) -> NDArray[np.int32]:
        nodes: NDArray[np.int32] = batch.column("node").to_numpy()
        return nodes

    def _picture(self, batch: int, row: int) -> LabelOnlyPicture:
        path, span = self._place(batch, row)
        return LabelOnlyPicture(path, int(self._nodes_of(self._columns[batch][row])), span)


class BoxedPictures(Pictures[BoxedPicture]):
    """Pictures with boxes."""

    @classmethod
    def of(cls, pictures: Iterable[BoxedPicture], root: Path = Path()) -> Self:
        """Gather pictures."""
        batches = []
        pictures = iter(pictures)
        while some := list(islice(pictures, ROWS)):
            batches.append(batch_of(some, root))
        return cls(batches, root)

    def labels(self) -> NDArray[np.int32]:
        """Return the node of every box that is no crowd's, picture by picture."""
        nodes = [np.empty(0, np.int32)]
        for each in self._columns:
            boxes = np.diff(each.ends)
            # a picture's crowds stand behind its other boxes
            within = np.arange(each.ends[-1]) - np.repeat(each.ends[:-1], boxes)
            nodes.append(each.nodes[within < np.repeat(boxes - each.crowds, boxes)])
        every = self._nodes_of(np.concatenate(nodes))
        if self.rows is None:
            return every
        count, chosen = self._every_count(), self.counts()
        first = np.repeat(np.cumsum(count)[self.rows] - chosen, chosen)
        return every[first + np.arange(len(first)) - np.repeat(np.cumsum(chosen) - chosen, chosen)]

    def counts(self) -> NDArray[np.int64]:
        """Return how many boxes that are no crowd's each picture has [N]."""
        every = self._every_count()
        return every if self.rows is None else every[self.rows]

    def _every_count(self) -> NDArray[np.int64]:
        """Return what `counts` does of all rows of the batches."""
        counts = (np.diff(each.ends) - each.crowds for each in self._columns)
        return np.concatenate([np.empty(0, np.int64), *counts])

    def _read(self, batch: pa.RecordBatch) -> "_BoxColumns":
        return _BoxColumns(batch)

    def _picture(self, batch: int, row: int) -> BoxedPicture:
        each = self._columns[batch]
        first, end = int(each.ends[row]), int(each.ends[row + 1])
        middle = end - int(each.crowds[row])
        difficult = self.batches[batch].column("difficult")[row].as_py()
        path, span = self._place(batch, row)
        return BoxedPicture(
            path=path,
            width=int(each.widths[row]),
            height=int(each.heights[row]),
            boxes=each.boxes[first:middle],
            nodes=self._nodes_of(each.nodes[first:middle]),
            crowd_boxes=each.boxes[middle:end],
            crowd_nodes=self._nodes_of(each.nodes[middle:end]),
            difficult=None if difficult is None else np.array(difficult, np.bool_),
            span=span,
        )


class _BoxColumns:
    """The columns of a batch of pictures with boxes, as arrays that share its memory; `ends` begins with 0."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        boxes = batch.column("boxes")
        self.ends: NDArray[np.int32] = boxes.offsets.to_numpy()
        self.boxes: NDArray[np.float32] = boxes.values.values.to_numpy().reshape(-1, 4)
        self.nodes: NDArray[np.int32] = batch.column("nodes").values.to_numpy()
        self.crowds: NDArray[np.int32] = batch.column("crowds").to_numpy()
        self.widths: NDArray[np.int32] = batch.column("width").to_numpy()
        self.heights: NDArray[np.int32] = batch.column("height").to_numpy()


def batch_of(pictures: Sequence[BoxedPicture], root: Path) -> pa.RecordBatch:
    """Return pictures with boxes as one batch of columns."""
    counts = [len(one.boxes) + len(one.crowd_boxes) for one in pictures]
    ends = pa.array(np.cumsum([0, *counts]).astype(np.int32))
    none = (np.zeros((0, 4), np.float32), np.zeros(0, np.int32))
    corners = np.concatenate([none[0], *(part for one in pictures for part in (one.boxes, one.crowd_boxes))])
    nodes = np.concatenate([none[1], *(part for one in pictures for part in (one.nodes, one.crowd_nodes))])
    boxes = pa.FixedSizeListArray.from_arrays(pa.array(corners.astype(np.float32).ravel()), type=CORNERS)
    return pa.record_batch(
        [
            pa.array([_name(one.path, root) for one in pictures], pa.binary()),
            pa.array([one.width for one in pictures], pa.int32()),
            pa.array([one.height for one in pictures], pa.int32()),
            pa.ListArray.from_arrays(ends, boxes),
            pa.ListArray.from_arrays(ends, pa.array(nodes.astype(np.int32))),
            pa.array([len(one.crowd_boxes) for one in pictures], pa.int32()),
            pa.array([None if one.difficult is None else one.difficult.tolist() for one in pictures], BOXED[6].type),
        ],
        schema=BOXED,
    )


def _name(path: Path, root: Path) -> bytes:
    """Return a picture's name from the root on; all of its path from the top where it lies elsewhere."""
    name, folder = os.fsencode(path), os.fsencode(root / "x")[:-1]
    return name.removeprefix(folder) if name.startswith(folder) else os.fsencode(path.absolute())

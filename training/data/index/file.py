"""The files of an index: for each set one of columns, and one of JSON that says what they are.

The JSON file names the columns' file, which carries a digest in its name: so the rename of the JSON file is the one
moment at which a new index is the index.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from model.files.text import read_json
from training.data.formats.detection_set import InvalidDatasetError
from training.data.index.parts import Part
from training.data.index.stamps import digest_of, stamp_of_places
from training.data.pictures.columns import ROWS, Mapped
from training.files import replace_file, replacing

FORMAT: Final = 1
ONCE_MORE: Final = "run `python -m training index` on it once more"


class Piece(BaseModel):
    """A part of the set: how many of its pictures come next in the columns; see `training.data.index.parts.Part`."""

    model_config = ConfigDict(frozen=True)

    name: str
    stamp: str
    rows: int
    unusable: tuple[str, ...] = ()
    about: dict[str, Any] = {}


class Class(BaseModel):
    """A class of the set; `wnid` is empty where its name has to tell."""

    model_config = ConfigDict(frozen=True)

    name: str
    wnid: str = ""


class Description(BaseModel):
    """What the columns of a set are.

    Attributes:
        format: of the index.
        place: of the set, in words for people.
        columns: name of their file.
        root: the folder that the names of the pictures begin at; of shards, the URL of their folder.
        name: of the set.
        classes: which the numbers in the columns stand for.
        pieces: the set's parts, in order.
        marks: files and folders that tell whether the set has changed.
        stamp: theirs.
        clipped, dropped, remarks: see `training.data.formats.detection_set.DetectionSet`.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = FORMAT
    place: str
    columns: str
    root: str
    name: str
    classes: tuple[Class, ...]
    pieces: tuple[Piece, ...]
    marks: tuple[Path, ...]
    stamp: str
    clipped: int = 0
    dropped: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One set's place in an index.

    Attributes:
        folder: of the index.
        stem: of the names of the set's files.
        place: of the set, in words for people.
    """

    folder: Path
    stem: str
    place: str

    @classmethod
    def of(cls, folder: Path, kind: str, places: Sequence[Path | str | None]) -> "Entry":
        """Return the place of a set that these paths and words tell from every other."""
        told = [os.path.realpath(one) if isinstance(one, Path) else one or "" for one in places]
        readable = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(told[0]).stem).strip("-.") or "set"
        return cls(folder, f"{readable[:60]}-{kind}-{digest_of(told)[:12]}", told[0])

    @property
    def description(self) -> Path:
        """The JSON file."""
        return self.folder / f"{self.stem}.json"

    def read(self) -> Description | None:
        """Return what the index says of the set; None where it does not have it.

        Raises:
            InvalidDatasetError: its file is damaged, or another version's.
        """
        try:
            return Description.model_validate_json(read_json(self.description))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise InvalidDatasetError(f"{self.description}: is no index of this version; {ONCE_MORE}") from error

    def batches(self, description: Description) -> Mapped:
        """Return the set's columns.

        Raises:
            InvalidDatasetError: they cannot be read.
        """
        path = self.folder / description.columns
        try:
            found = Mapped(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise InvalidDatasetError(f"{path}: the index's columns cannot be read ({error}); {ONCE_MORE}") from error
        if sum(batch.num_rows for batch in found) != sum(piece.rows for piece in description.pieces):
            raise InvalidDatasetError(f"{path}: the index's columns are not those it describes; {ONCE_MORE}")
        return found

    def write(self, description: Description, batches: Iterable[pa.RecordBatch]) -> None:
        """Store a set; readers find the old one or the new one, whole.

        Args:
            description: of the set, but for the columns' name.
            batches: its columns.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        pieces = (f"{piece.name}|{piece.stamp}|{piece.rows}" for piece in description.pieces)
        columns = f"{self.stem}.{digest_of((description.stamp, *pieces))[:12]}.arrow"
        with replacing(self.folder / columns) as temporary:
            writer: pa.RecordBatchFileWriter | None = None
            for batch in joined(batches):
                if writer is None:
                    writer = pa.ipc.new_file(str(temporary), batch.schema)
                writer.write_batch(batch)
            if writer is None:
                raise InvalidDatasetError(f"{self.place}: holds no pictures")
            writer.close()
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        done = description.model_copy(update={"columns": columns})
        replace_file(self.description, done.model_dump_json(indent=1).encode())
        for old in self.folder.glob(f"{self.stem}.*.arrow"):
            if old.name != columns:
                old.unlink()

    def check(self, description: Description, stamp: Callable[[Sequence[Path]], str] = stamp_of_places) -> None:
        """Check that a set is what it was when it was indexed, as far as its marks tell.

        Args:
            description: of the set.
            stamp: what its stamp was made by.

        Raises:
            InvalidDatasetError: it has changed.
        """
        try:
            same = stamp(description.marks) == description.stamp
        except OSError as error:
            raise InvalidDatasetError(
                f"{self.place}: {error.filename} is gone since the set was indexed; {ONCE_MORE}"
            ) from error
        if not same:
            raise InvalidDatasetError(f"{self.place}: has changed since it was indexed; {ONCE_MORE}")

    def stored(self) -> tuple[tuple[Class, ...], dict[str, Part]]:
        """Return the set's classes and, by their names, its parts; none where there is nothing to go on from."""
        try:
            description = self.read()
            if description is None:
                return (), {}
            batches = cut(self.batches(description), [piece.rows for piece in description.pieces])
        except InvalidDatasetError:  # it is built anew
            return (), {}
        return description.classes, {
            piece.name: Part(piece.name, piece.stamp, batch, piece.unusable, piece.about)
            for piece, batch in zip(description.pieces, batches, strict=True)
        }


def joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of at least `ROWS`, but for the last."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= ROWS:
            yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()
            waiting, rows = [], 0
    if rows:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()


def cut(batches: Iterable[pa.RecordBatch], counts: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of batches in pieces of so many each; none of them crosses from one batch to the next."""
    following = iter(batches)
    batch: pa.RecordBatch | None = None
    first = 0
    for count in counts:
        while batch is None or (first == batch.num_rows and count):
            batch, first = next(following), 0
        yield batch.slice(first, count)
        first += count

"""What a model file was taught: kept in the file itself, so that more can be taught and everything can be forgotten."""

import base64
from pathlib import Path
from typing import Annotated, Final, Self

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.metadata import METADATA_KEY, InvalidModelError, ModelMetadata
from training.teaching.file.grown_tree import NewConcept

LESSON_KEY: Final = "yolo9000.lesson"
"""Of the ONNX file's metadata; the service does not read it."""

Floats = NDArray[np.float32]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Matrix(_Record):
    """A matrix in half precision: base64 of its rows."""

    columns: Annotated[int, Field(gt=0)]
    halves: str

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Store a matrix."""
        return cls(columns=values.shape[1], halves=base64.b64encode(values.astype("<f2").tobytes()).decode())

    def values(self) -> Floats:
        """Return it."""
        return np.frombuffer(base64.b64decode(self.halves), "<f2").astype(np.float32).reshape(-1, self.columns)


class TaughtConcept(_Record):
    """A concept and the examples that it was learned from.

    Attributes:
        wnid, name, definition: of the concept.
        parent: the wnid of its parent.
        components, sureness: of its views, see `training.teaching.memory`.
        pictures: which picture each view is of, from 0.
        named: how many of the pictures were named rightly when they were left out.
    """

    wnid: str
    name: str
    definition: str
    parent: str
    components: Matrix
    sureness: Matrix
    pictures: tuple[int, ...]
    named: int


class Lesson(_Record):
    """What was taught on top of a model file.

    Attributes:
        identity: of the part of the graph that the examples were seen with.
        base: the metadata of the file before.
        concepts: in the order in which they were taught.
        forgotten: wnids that the file before could answer with, and this one cannot.
    """

    identity: str
    base: ModelMetadata
    concepts: tuple[TaughtConcept, ...] = ()
    forgotten: tuple[str, ...] = ()


def read_lesson(model: onnx.ModelProto, identity: str) -> Lesson:
    """Return what a model file was taught; nothing, if it was not.

    Raises:
        InvalidModelError: the metadata cannot be read.
    """
    texts = {entry.key: entry.value for entry in model.metadata_props}
    if METADATA_KEY not in texts:
        raise InvalidModelError("the file is an ONNX file, but no model file of this project")
    if LESSON_KEY not in texts:
        return Lesson(identity=identity, base=ModelMetadata.from_json(texts[METADATA_KEY]))
    try:
        return Lesson.model_validate_json(texts[LESSON_KEY])
    except ValidationError as error:
        raise InvalidModelError(f"what the file was taught cannot be read: {error}") from error


def write_lesson(model: onnx.ModelProto, metadata: ModelMetadata, lesson: Lesson) -> None:
    """Put metadata and what was taught into a model file."""
    texts = {METADATA_KEY: metadata.to_json()}
    if lesson.concepts or lesson.forgotten:
        texts[LESSON_KEY] = lesson.model_dump_json(by_alias=True)
    del model.metadata_props[:]
    helper.set_model_props(model, texts)


def read_graph(path: Path) -> onnx.ModelProto:
    """Read a model file's graph.

    Raises:
        InvalidModelError: there is no such file, or it is no ONNX file.
    """
    try:
        return onnx.load(path)
    except (OSError, DecodeError) as error:
        raise InvalidModelError(f"{path} cannot be read as an ONNX file: {error}") from error


def concept_of(taught: TaughtConcept) -> NewConcept:
    """Return a concept without its examples."""
    return NewConcept(taught.wnid, taught.name, taught.parent, taught.definition)

"""The model file: one ONNX file, whose metadata tells the service all that the graph does not.

The metadata is one JSON text, a `ModelMetadata`, under the key `yolo9000.bundle` of `metadata_props`.

The graph's inputs:

    pictures      uint8 [batch, size, size, 3]  RGB pictures, letterboxed to one of `sizes`
    threshold     float32 []                    least objectness of a box to be given out

and outputs, for the K boxes of the whole batch whose objectness is at least `threshold`:

    boxes         float32 [K, 4]                x1, y1, x2, y2 in pixels of the letterboxed input
    objectness    float32 [K]                   0 to 1
    picture       int64 [K]                     which picture of the batch the box is in
    class_logits  float32 [K, T]                column j belongs to the tree's node `trained[j]`
"""

from functools import cached_property
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from model.tree_files import packaged_tree
from model.wordtree import WordTree

SCHEMA_VERSION: Final = 1
METADATA_KEY = "yolo9000.bundle"


class GraphTensor(NamedTuple):
    """An input or output of the graph.

    Attributes:
        type: of its elements, in ONNX Runtime's words.
        shape: the length of each dimension; a name where it changes, None where a file has its own.
    """

    type: str
    shape: tuple[str | int | None, ...]


INPUTS: Final = {
    "pictures": GraphTensor("tensor(uint8)", ("batch", "size", "size", 3)),
    "threshold": GraphTensor("tensor(float)", ()),
}
OUTPUTS: Final = {
    "boxes": GraphTensor("tensor(float)", ("found", 4)),
    "objectness": GraphTensor("tensor(float)", ("found",)),
    "picture": GraphTensor("tensor(int64)", ("found",)),
    "class_logits": GraphTensor("tensor(float)", ("found", None)),
}
"""In this order."""

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class InvalidModelError(ValueError):
    """A file that is not a model file of this project; the message says in one sentence why."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TreeMetadata(_Record):
    """The WordTree a model answers with, as its file holds it.

    Attributes:
        wnids: [N] ids, parents before children and siblings side by side.
        parents: [N] index of each node's parent, -1 for a root.
        names, synonyms, definitions: [N] each, or None where they are those of the packaged tree.
        digest: the tree's digest, `WordTree.digest`.
    """

    wnids: tuple[str, ...]
    parents: tuple[int, ...]
    names: tuple[str, ...] | None = None
    synonyms: tuple[tuple[str, ...], ...] | None = None
    definitions: tuple[str, ...] | None = None
    digest: str

    @classmethod
    def of(cls, tree: WordTree) -> Self:
        """Describe a tree; texts that the packaged tree has as well are left out."""
        wnids, parents = tree.wnids, tuple(tree.parents.tolist())
        texts = (tree.names, tree.synonyms, tree.definitions)
        if _packaged_texts(wnids) == texts:
            return cls(wnids=wnids, parents=parents, digest=tree.digest)
        names, synonyms, definitions = texts
        return cls(
            wnids=wnids,
            parents=parents,
            names=names,
            synonyms=synonyms,
            definitions=definitions,
            digest=tree.digest,
        )

    def build(self) -> WordTree:
        """Build the tree.

        Raises:
            ValueError: the columns do not make a tree, names are missing, or the digest is another tree's.
        """
        names, synonyms, definitions = self.names, self.synonyms, self.definitions
        if names is None:
            texts = _packaged_texts(self.wnids)
            if texts is None:
                raise ValueError("the tree has no names, and not all of its wnids are in the packaged tree")
            names, synonyms, definitions = texts
        tree = WordTree(self.wnids, self.parents, names, synonyms, definitions)
        if tree.digest != self.digest:
            raise ValueError(f"the tree's digest is {tree.digest}, but the metadata says {self.digest}")
        return tree


Texts = tuple[tuple[str, ...], tuple[tuple[str, ...], ...], tuple[str, ...]]


def _packaged_texts(wnids: tuple[str, ...]) -> Texts | None:
    """Return names, synonyms and definitions from the packaged tree, None unless it has every wnid."""
    packaged = packaged_tree()
    if not all(wnid in packaged for wnid in wnids):
        return None
    nodes = [packaged.index(wnid) for wnid in wnids]
    return (
        tuple(packaged.names[node] for node in nodes),
        tuple(packaged.synonyms[node] for node in nodes),
        tuple(packaged.definitions[node] for node in nodes),
    )


class Preprocessing(_Record):
    """How a picture becomes the graph's input, and what the graph then does itself.

    Attributes:
        colour, layout, padding, resampling: what `model.pictures.decoding.letterbox` does; no other way is known.
        mean, scale: the graph computes (value - mean) / scale for R, G and B of 0 to 255; informational.
    """

    colour: Literal["RGB"] = "RGB"
    layout: Literal["NHWC uint8"] = "NHWC uint8"
    padding: Literal[127] = 127
    resampling: Literal["bilinear"] = "bilinear"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (255.0, 255.0, 255.0)


class Thresholds(_Record):
    """What is used where a request names no other value, each 0 to 1.

    Attributes:
        objectness: least objectness of a box.
        hierarchy: least absolute probability to go on to a more particular concept.
        iou: of two boxes on one lineage that overlap by more than this the lesser goes.
    """

    objectness: Fraction = 0.25
    hierarchy: Fraction = 0.5
    iou: Fraction = 0.45


class ModelMetadata(_Record):
    """All that a model file says about itself.

    Attributes:
        schema_version: of this very structure; a reader takes its own only.
        name, version: of the model.
        tree_metadata: the WordTree of its answers; `tree` in the file.
        trained: ascending indices of the tree's nodes with a class logit; with a node always its parent.
        labelled: ascending, those of them that had pictures or boxes of their own and not only beneath them; () where
            that is not known.
        others: ascending, those of them that stand for all other kinds of their parent and end no answer; `teach` adds
            them beside a concept that has no trained sibling.
        boxed: ascending, those of them that had boxes of their own; () where that is not known.
        anchors: [A] width and height of each anchor in cells.
        stride: pixels of the input to one cell.
        sizes: the sides of the square input that may be used, ascending multiples of the stride, in pixels.
        default_size: the side where none is asked for.
        preprocessing, thresholds: see there.
        training: how the model came about: data, steps, seed and the like; free.
        evaluation: what it scored, and on what; free.
        licence: under what terms the weights may be used.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    tree_metadata: TreeMetadata = Field(alias="tree")
    trained: Annotated[tuple[int, ...], Field(min_length=1)]
    labelled: tuple[int, ...] = ()
    others: tuple[int, ...] = ()
    boxed: tuple[int, ...] = ()
    anchors: Annotated[tuple[tuple[PositiveFloat, PositiveFloat], ...], Field(min_length=1)]
    stride: PositiveInt = 32
    sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    default_size: PositiveInt
    preprocessing: Preprocessing = Preprocessing()
    thresholds: Thresholds = Thresholds()
    training: dict[str, JsonValue] = Field(default_factory=dict)
    evaluation: dict[str, JsonValue] = Field(default_factory=dict)
    licence: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_sizes()
        if not set(self.labelled) <= set(self.trained):
            raise ValueError("a labelled node is not a trained one")
        if not set(self.boxed) <= set(self.trained):
            raise ValueError("a node with boxes is not a trained one")
        if not set(self.others) <= set(self.trained):
            raise ValueError("a node for all other kinds is not a trained one")
        tree = self.tree
        if any(a >= b for a, b in zip(self.trained, self.trained[1:], strict=False)):
            raise ValueError("the trained nodes are not ascending")
        if self.trained[0] < 0 or self.trained[-1] >= len(tree):
            raise ValueError(f"a trained node is outside the tree of {len(tree)} nodes")
        if len(tree.closure(self.trained)) != len(self.trained):
            raise ValueError("the trained nodes hold a node without its parent")
        return self

    def _check_sizes(self) -> None:
        if any(a >= b for a, b in zip(self.sizes, self.sizes[1:], strict=False)):
            raise ValueError("the input sizes are not ascending")
        if any(size % self.stride for size in self.sizes):
            raise ValueError(f"an input size is not a multiple of the stride, {self.stride}")
        if self.default_size not in self.sizes:
            raise ValueError(f"the default size {self.default_size} is not one of the input sizes")

    @cached_property
    def tree(self) -> WordTree:
        """The whole tree."""
        return self.tree_metadata.build()

    @cached_property
    def trained_tree(self) -> WordTree:
        """The tree of the trained nodes alone; class logit j is its node j's."""
        return self.tree.subset(self.trained)

    @cached_property
    def trained_nodes(self) -> NDArray[np.int32]:
        """`trained` as an array, int32 [T]."""
        nodes = np.array(self.trained, dtype=np.int32)
        nodes.flags.writeable = False
        return nodes

    @cached_property
    def unproven(self) -> NDArray[np.bool_]:
        """Which nodes of the trained tree are no better founded than their parents; bool [T].

        Such a node has siblings in the whole tree, but none that was trained, so it always has its parent's
        probability; and its parent had data of its own, of which the node's may be the smaller part. Sorrels are the
        only trained kind of horse, but few horses are sorrels: `walk` ends no answer there, nor at `others`.
        """
        tree, trained = self.tree, self.trained_tree
        alone = trained.group_size[trained.group_of] == 1
        lost_siblings = tree.group_size[tree.group_of[self.trained_nodes]] > 1
        parent_labelled = np.isin(tree.parents[self.trained_nodes], self.labelled)
        found: NDArray[np.bool_] = alone & lost_siblings & parent_labelled | np.isin(self.trained_nodes, self.others)
        found.flags.writeable = False
        return found

    def answered_by(self, node: int) -> int | None:
        """Return the concept that is the best answer to a picture of this one, both as indices of `tree`.

        It is the concept itself if an answer may end there, else the nearest ancestor of which that is true; None if
        there is none.
        """
        return next((above for above in reversed(self.tree.path(node)) if above in self._ends), None)

    @cached_property
    def _ends(self) -> frozenset[int]:
        """The nodes of `tree` that answers may end at."""
        return frozenset(self.trained_nodes[~self.unproven].tolist())

    def to_json(self) -> str:
        """Return the text to be stored under `METADATA_KEY`."""
        return self.model_dump_json(by_alias=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the stored text.

        Raises:
            InvalidModelError: not metadata of this schema version, or inconsistent.
        """
        try:
            # First the version alone: metadata of another one fails on some field, and that reason misleads.
            version = _VersionOnly.model_validate_json(text).schema_version
        except ValidationError as error:
            raise InvalidModelError(f"the model file's metadata cannot be read: {_sentence(error)}") from error
        if version != SCHEMA_VERSION:
            raise InvalidModelError(
                f"the model file has schema version {version}; this program reads version {SCHEMA_VERSION}"
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InvalidModelError(f"the model file's metadata is inconsistent: {_sentence(error)}") from error


class _VersionOnly(BaseModel):
    schema_version: int


def _sentence(error: ValidationError) -> str:
    """Put the first of pydantic's complaints into one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    cause: dict[str, Any] = first.get("ctx", {})
    message = str(cause["error"]) if "error" in cause else first["msg"]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {message}" if where else message

"""What a model remembers of the objects it was trained on: examples of everything that a new concept is not.

Whoever teaches a model has ten pictures of his own thing and none of the rest of the world. A row fitted to ten
pictures alone would fire at everything. So a memory keeps, of a few thousand objects of the training pictures, the
vector that the class layer named them by (`training.teaching.file.seen`), reduced to its principal components and
rounded to 8 bits.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import numpy as np
import onnx
from numpy.typing import NDArray

from training.files import replacing
from training.teaching.file.seen import class_tensors

Floats = NDArray[np.float32]

PACKAGED_MEMORY: Final = Path(__file__).with_name("default-memory.npz")
"""That of the embedded model."""
STEPS: Final = 127  # of an 8-bit number with a sign
LEAST_DEVIATION: Final = 0.05  # of an input; one that hardly ever differs from zero is not to be blown up
NO_LABEL: Final = ""


class InvalidMemoryError(ValueError):
    """A file that is no memory, or another model's."""


class Memory:
    """M examples in K components.

    Attributes:
        identity: of the part of the graph whose vectors these are, see `identity_of`.
        mean, deviation: float32 [D], of each number of the vectors.
        components: float32 [D, K], orthonormal but for rounding.
        rows: float32 [M, K], the examples.
        sureness: float32 [M, 3], how sure the classifier inside was of each, see `sureness`.
        wnids: M labels; "" for a box that no labelled object is in.
    """

    def __init__(
        self,
        identity: str,
        mean: Floats,
        deviation: Floats,
        components: Floats,
        rows: Floats,
        sureness: Floats,
        wnids: Sequence[str],
    ) -> None:
        self.identity = identity
        self.mean, self.deviation, self.components = mean, deviation, components
        self.rows, self.sureness, self.wnids = rows, sureness, tuple(wnids)

    @classmethod
    def of(
        cls, identity: str, vectors: Floats, sureness: Floats, wnids: Sequence[str], components: int, most: int
    ) -> Self:
        """Remember objects.

        Args:
            identity: see there.
            vectors, sureness, wnids: of all objects, [N, D], [N, 3] and N.
            components: how many principal components to keep.
            most: how many objects to keep, spread evenly over all, so that what is frequent stays frequent.
        """
        mean: Floats = vectors.mean(0)
        deviation: Floats = np.maximum(vectors.std(0), np.float32(LEAST_DEVIATION))
        standard = (vectors - mean) / deviation
        _, directions = np.linalg.eigh(standard.T @ standard)
        found = np.ascontiguousarray(directions[:, ::-1][:, :components]).astype(np.float32)
        kept = np.linspace(0, len(wnids) - 1, min(len(wnids), most)).round().astype(np.intp)
        return cls(
            identity,
            mean,
            deviation,
            found,
            (standard[kept] @ found).astype(np.float32),
            sureness[kept],
            [wnids[place] for place in kept.tolist()],
        )

    def project(self, vectors: Floats) -> Floats:
        """Map vectors [N, D] to their components [N, K]."""
        return (((vectors - self.mean) / self.deviation) @ self.components).astype(np.float32)

    def write(self, path: Path) -> None:
        """Write a file; components and examples get 8 bits a number."""
        components, component_step = _rounded(self.components)
        rows, row_step = _rounded(self.rows)
        names, labels = np.unique(np.array(self.wnids), return_inverse=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                identity=np.array(self.identity),
                mean=self.mean,
                deviation=self.deviation,
                components=components,
                component_step=component_step,
                rows=rows,
                row_step=row_step,
                sureness=self.sureness.astype(np.float16),
                names=names,
                labels=labels.astype(np.int32),
            )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `write` wrote.

        Raises:
            InvalidMemoryError: it is none.
        """
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                names = file["names"]
                return cls(
                    str(file["identity"]),
                    file["mean"],
                    file["deviation"],
                    file["components"] * file["component_step"],
                    file["rows"] * file["row_step"],
                    file["sureness"].astype(np.float32),
                    names[file["labels"]].tolist(),
                )
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InvalidMemoryError(f"{path} is no memory of a model: {error}") from error


def identity_of(model: onnx.ModelProto) -> str:
    """Return what tells the part of a graph that makes the vectors from others: a hash of its operators and weights.

    Names, class logits and thresholds do not matter, so a taught model has its teacher's memory.
    """
    made_by = {output: node for node in model.graph.node for output in node.output}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    digest = hashlib.sha256()
    waiting, known = [class_tensors(model).seen], set[str]()
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        if name in made_by:
            digest.update(made_by[name].op_type.encode())
            waiting += made_by[name].input
        elif name in weights:
            digest.update(weights[name].raw_data)
    return digest.hexdigest()


def sureness(logits: Floats) -> Floats:
    """Return how sure the classifier inside is of boxes, float32 [N, 3].

    They are the logarithms of the greatest probability and of what it leaves to all others, and the entropy. What the
    classifier has a class for it is sure of: that speaks against a new concept.

    Args:
        logits: of the classifier, [N, classes].
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    greatest = logarithms.max(axis=1)
    rest = np.log(np.maximum(-np.expm1(greatest), LEAST_REST))
    entropy = -(np.exp(logarithms) * logarithms).sum(axis=1)
    return np.stack([greatest, rest, entropy], axis=1).astype(np.float32)


LEAST_REST: Final = 1e-4
"""Least probability that the classifier is taken to leave to all other classes."""


def _rounded(values: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Return numbers as multiples of a step for each column."""
    step = np.maximum(np.abs(values).max(axis=0), np.finfo(np.float32).tiny).astype(np.float32) / STEPS
    return np.rint(values / step).astype(np.int8), step

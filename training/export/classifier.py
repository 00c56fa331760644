"""An ONNX file of a classifier, for ONNX Runtime anywhere. The service does not read it: it serves detectors.

    pictures        uint8 [batch, size, size, 3]      RGB pictures; size is a multiple of the network's stride
    logits          float32 [batch, classes]
    probabilities   float32 [batch, classes]          flat: their softmax; of a tree: each node's absolute probability

The metadata under `METADATA_KEY` is the JSON of a `ClassifierMetadata`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from onnx import helper
from pydantic import BaseModel, ConfigDict, JsonValue
from torch import Tensor, nn
from torch.export import Dim

from model.onnx_runtime import onnxruntime
from model.wordtree import WordTree
from training.export.model_file import HALF_TOLERANCE, TOLERANCE, ExportError
from training.export.onnx_model import store_in_half, tidy, translate, write_model
from training.files import replacing
from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.backbones.classifier import Classifier

METADATA_KEY: Final = "yolo9000.classifier"
OUTPUTS: Final = ("logits", "probabilities")


class ClassifierMetadata(BaseModel):
    """What a classifier's file says of itself.

    Attributes:
        name, version: of the model.
        wnids, names: of each class.
        parents: each node's parent, -1 for a root, where the classes are a tree; else None.
        default_size: side of the input the network was made for, px.
        training: how the model came about; free.
        licence: under what terms the weights may be used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
    version: str
    wnids: tuple[str, ...]
    names: tuple[str, ...]
    parents: tuple[int, ...] | None
    default_size: int
    training: dict[str, JsonValue]
    licence: str


class ClassifierGraph(nn.Module):
    """The graph of the file around a classifier in evaluation mode."""

    def __init__(self, classifier: Classifier, tree: WordTree | None) -> None:
        super().__init__()
        self.classifier = classifier
        self.hierarchy = None if tree is None else HierarchicalSoftmax(tree)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Map pictures, uint8 [B, S, S, 3], to logits and probabilities [B, classes]."""
        logits = self.classifier(pictures.permute(0, 3, 1, 2).to(torch.float32))
        if self.hierarchy is None:
            return logits, logits.softmax(1)
        return logits, self.hierarchy.log_absolutes(self.hierarchy.log_conditionals(logits)).exp()


def export_classifier(
    classifier: Classifier,
    metadata: ClassifierMetadata,
    tree: WordTree | None,
    path: Path,
    *,
    half_storage: bool = False,
) -> float:
    """Write the file, checked against torch before it gets its name; return the largest difference of probabilities.

    Args:
        classifier: in evaluation mode.
        metadata: of the file.
        tree: whose nodes the classes are; None for flat classes.
        path: one that was there is replaced at the very end.
        half_storage: store weights as float16.

    Raises:
        ExportError: the file's answers differ from torch's.
    """
    graph = ClassifierGraph(classifier, tree).eval()
    stride = classifier.stride
    side = stride * Dim("cells", min=1)
    example = torch.zeros(2, 3 * stride, 3 * stride, 3, dtype=torch.uint8)
    shape = {0: Dim("batch", min=1), 1: side, 2: side}
    model = translate(graph, (example,), (shape,), inputs=("pictures",), outputs=OUTPUTS)
    tidy(model, "classifier", {"pictures": ("batch", "size", "size", 3), **dict.fromkeys(OUTPUTS, ("batch", None))})
    helper.set_model_props(model, {METADATA_KEY: metadata.model_dump_json()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        write_model(store_in_half(model) if half_storage else model, temporary)
        difference = _difference(graph, temporary, metadata.default_size)
        if not difference <= (HALF_TOLERANCE if half_storage else TOLERANCE):
            raise ExportError(f"the exported graph differs from torch by {difference:.2g} in probabilities")
    return difference


def _difference(graph: ClassifierGraph, path: Path, size: int) -> float:
    """Compare on another number of pictures of another size than the graph was traced with."""
    pictures = np.random.default_rng(0).integers(0, 256, (1, size // 8, size // 8, 3), dtype=np.uint8)
    pictures = pictures.repeat(8, axis=1).repeat(8, axis=2)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    _, found = session.run(list(OUTPUTS), {"pictures": pictures})
    with torch.no_grad():
        _, expected = graph(torch.from_numpy(pictures))
    return float(np.abs(found - expected.numpy()).max())

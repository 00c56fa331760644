"""From a trained detector to the one file the service loads: `model.metadata` says what is in it.

The graph takes uint8 pictures, normalises them, runs the network, decodes the boxes, drops those below the
objectness threshold and computes class logits for the rest alone. Batch norms, and whatever else depends on
weights only, are folded. Before the file gets its name it is loaded by the service's own code and compared
with torch.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor, nn
from torch.export import Dim

from model.answers.detections import RawDetections
from model.answers.walk import absolute_probabilities
from model.metadata import INPUTS, METADATA_KEY, OUTPUTS, ModelMetadata
from model.runtime import OnnxDetector
from training.export.onnx_model import store_in_half, tidy, translate, write_model
from training.files import replacing
from training.networks.parts.detector import BoxIndex, Detector, joined

WEIGHT_PREFIX: Final = "detector."
"""A weight of a model file is called as in the detector's state dict, after this, where nothing was folded in."""
MOST_FOUND: Final = 2**40
"""Boxes of a grid that pass. Without a bound torch.export thinks the sum of three counts may exceed an int64."""

TOLERANCE: Final = 1e-3
"""Largest difference to torch: in absolute probabilities, in objectness, and in boxes as a part of a cell."""
HALF_TOLERANCE: Final = 5e-2
"""The same once the weights are rounded to 11 bits; this only tells rounding from a broken file."""


class ExportError(RuntimeError):
    """The exported graph does not do what the detector does; no file was written."""


@dataclass(frozen=True)
class ExportReport:
    """What an export gave: the file's size in bytes, and the largest differences to torch.

    Attributes:
        size: bytes of the file.
        boxes: in cells, for boxes wider or higher than a cell as a part of their longer side.
        objectness, probabilities: absolute.
    """

    size: int
    boxes: float
    objectness: float
    probabilities: float


class ExportGraph(nn.Module):
    """The graph of a model file around a detector in evaluation mode."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pictures: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map the inputs that `model.metadata` describes to its outputs, in its order."""
        side = pictures.shape[1]
        every = self.detector.look(pictures.permute(0, 3, 1, 2).to(torch.float32))
        least = self.detector.least_objectness(threshold)
        found = [torch.nonzero(prediction.boxes[..., -1].sigmoid() >= least) for prediction in every]
        for each in found:
            torch._check(each.shape[0] < MOST_FOUND)  # type: ignore[no-untyped-call]  # noqa: SLF001 - the documented name
        # One box more, dropped again at the end: so the class layer never sees zero boxes, which not every
        # operator can compute (an Einsum of ONNX Runtime 1.32 ends the process).
        found[-1] = torch.cat((found[-1], found[-1].new_zeros(1, 4)))
        indexes = [BoxIndex(*each.unbind(1)) for each in found]
        judged = self.detector.judge(every, indexes)
        centre, sides = judged.boxes[:, :2], judged.boxes[:, 2:]
        corners = torch.cat((centre - sides / 2, centre + sides / 2), dim=1) * side
        picture = joined([index.picture for index in indexes])
        answers = corners[:-1], judged.objectness[:-1], picture[:-1], judged.class_logits[:-1]
        if least is threshold:  # nothing is judged again: what the gate let through is what is asked for
            return answers
        passing = torch.nonzero(answers[1] >= threshold)[:, 0]
        return answers[0][passing], answers[1][passing], answers[2][passing], answers[3][passing]


def export_detector(
    detector: Detector,
    metadata: ModelMetadata,
    path: Path,
    *,
    half_storage: bool = False,
    pictures: Sequence[NDArray[np.uint8]] = (),
) -> ExportReport:
    """Write a model file.

    Args:
        detector: left as it is, on its device and in its mode.
        metadata: the file's metadata.
        path: the file; one that was there is replaced at the very end.
        half_storage: store weights as float16, which halves the file; they are float32 again once loaded.
        pictures: batches to compare with torch on, each uint8 [B, S, S, 3] letterboxed RGB with S one of the
            metadata's sizes. Without any, coloured noise at the smallest and the default size is used.

    Raises:
        ValueError: the model file describes another network.
        ExportError: the graph's answers differ from torch's.
    """
    _check_fit(detector, metadata)
    graph = ExportGraph(copy.deepcopy(detector).to("cpu", torch.float32)).eval()
    model = _to_onnx(graph, metadata)
    batches = list(pictures) or _noise(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        write_model(model, temporary)
        report = _compare(graph, temporary, batches, TOLERANCE)
        if half_storage:
            write_model(store_in_half(model), temporary)
            report = _compare(graph, temporary, batches, HALF_TOLERANCE)
    return report


def _check_fit(detector: Detector, metadata: ModelMetadata) -> None:
    if detector.classes != len(metadata.trained):
        raise ValueError(f"the detector has {detector.classes} classes, but {len(metadata.trained)} nodes are trained")
    if detector.stride != metadata.stride:
        raise ValueError(f"the detector has stride {detector.stride}, the model file {metadata.stride}")
    if any(size % detector.multiple for size in metadata.sizes):
        raise ValueError(f"the detector takes multiples of {detector.multiple} px, not all of {metadata.sizes}")
    stated = torch.tensor(metadata.anchors, dtype=torch.float32)
    if stated.shape != detector.anchors.shape or not torch.allclose(stated, detector.anchors.cpu()):
        raise ValueError("the model file's anchors are not the detector's")


def _to_onnx(graph: ExportGraph, metadata: ModelMetadata) -> onnx.ModelProto:
    """Trace, translate, fold, and describe."""
    multiple = graph.detector.multiple
    side = multiple * Dim("cells", min=1)
    model = translate(
        graph,
        (torch.zeros(2, 3 * multiple, 3 * multiple, 3, dtype=torch.uint8), torch.tensor(0.5)),
        ({0: Dim("batch", min=1), 1: side, 2: side}, {}),
        inputs=INPUTS,
        outputs=OUTPUTS,
    )
    tidy(model, "detector", {name: tensor.shape for name, tensor in (INPUTS | OUTPUTS).items()})
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    return model


def _noise(metadata: ModelMetadata) -> list[NDArray[np.uint8]]:
    """Return pictures of coloured squares, 8 pixels wide; finer noise would be averaged away at once."""
    generator = np.random.default_rng(0)
    batches = []
    for count, size in ((2, metadata.sizes[0]), (1, metadata.default_size)):
        squares = generator.integers(0, 256, (count, -(-size // 8), -(-size // 8), 3), dtype=np.uint8)
        batches.append(squares.repeat(8, axis=1).repeat(8, axis=2)[:, :size, :size])
    return batches


def _compare(graph: ExportGraph, path: Path, batches: Sequence[NDArray[np.uint8]], tolerance: float) -> ExportReport:
    """Compare the file with torch on every box of these pictures, and its gate with what it gives of all."""
    detector = OnnxDetector.load(path)
    largest = np.zeros(3)
    for batch in batches:
        everything = detector.run(batch, 0.0)
        with torch.no_grad():
            boxes, objectness, picture, logits = (
                value.numpy() for value in graph(torch.from_numpy(batch), torch.tensor(0.0))
            )
        for number, found in enumerate(everything):
            rows = picture == number
            expected = RawDetections(boxes[rows], objectness[rows], logits[rows])
            largest = np.maximum(largest, _differences(detector, found, expected))
        if not (largest <= tolerance).all():  # not a number is a difference as well
            raise ExportError(
                f"the exported graph differs from torch by {largest[0]:.2g} cells in boxes, {largest[1]:.2g} "
                f"in objectness and {largest[2]:.2g} in probabilities, where {tolerance} is allowed"
            )
        _check_gate(detector, batch, everything)
    return ExportReport(path.stat().st_size, *map(float, largest))


def _differences(detector: OnnxDetector, found: RawDetections, expected: RawDetections) -> NDArray[np.float64]:
    """Return the largest differences of boxes, objectness and absolute probabilities."""
    if len(found) != len(expected):
        raise ExportError(f"the exported graph has {len(found)} boxes where torch has {len(expected)}")
    sides = expected.boxes[:, 2:] - expected.boxes[:, :2]
    unit = np.maximum(sides.max(axis=1, keepdims=True), detector.metadata.stride)
    tree = detector.trained_tree
    probabilities = absolute_probabilities(tree, found.class_logits)
    return np.array(
        [
            np.abs((found.boxes - expected.boxes) / unit).max(),
            np.abs(found.objectness - expected.objectness).max(),
            np.abs(probabilities - absolute_probabilities(tree, expected.class_logits)).max(),
        ]
    )


def _check_gate(detector: OnnxDetector, batch: NDArray[np.uint8], everything: Sequence[RawDetections]) -> None:
    """Check that a threshold gives out exactly the boxes it should: about half of them, and (mostly) none."""
    middle = float(np.median(np.concatenate([found.objectness for found in everything])))
    for threshold in (middle, 1.0):
        for found, every in zip(detector.run(batch, threshold), everything, strict=True):
            passing = every.objectness >= np.float32(threshold)
            same = len(found) == passing.sum() and np.allclose(
                found.class_logits, every.class_logits[passing], rtol=1e-3, atol=1e-3
            )
            if not same:
                raise ExportError(f"the exported graph's gate at objectness {threshold:.3f} lets other boxes through")

"""What a model file sees of its boxes: the numbers its class layer names them by.

The class layer of `yolov2-lite` is linear in a vector of each box: features of the classifier inside, features of the
grid cell, and what the detector says of the kinds it knows by itself (`training.networks.parts.class_layer`). The graph
of a model file computes that vector and throws it away. Here the graph is given one more output and is run as it is,
8 bits and all: rows fitted to what torch would compute would fit a network that nobody serves.
"""

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from model.metadata import OUTPUTS
from model.providers import CPU
from model.session import start_session

CLASS_LAYER: Final = "detector.class_layer.correction.weight"
"""What the names of the weight that is linear in the vector begin with; a quantised one has an ending."""
CLASSIFIER: Final = "detector.class_layer.flat.weight"
SELECTION: Final = frozenset({"Gather", "GatherND", "Slice"})
"""Operators that pick rows: after the class layer the graph keeps the boxes that pass the gate."""


class NotTeachableError(ValueError):
    """A model file without the class layer that teaching needs."""


class ClassTensors(NamedTuple):
    """Where things are in a graph, by the names of their tensors.

    Attributes:
        seen: [R, D], the vector of each box.
        classifier: [R, classes], logits of the flat classifier inside.
        logits: [R, T], class logits before boxes are picked.
        selection: the nodes that pick boxes, in the order in which they run; the first one's first input is `logits`.
    """

    seen: str
    classifier: str
    logits: str
    selection: tuple[onnx.NodeProto, ...]


class Seen(NamedTuple):
    """The K boxes of one picture.

    Attributes:
        boxes: float32 [K, 4], x1, y1, x2, y2 in pixels of the input.
        objectness: float32 [K].
        vectors: float32 [K, D].
        classifier: float32 [K, classes].
        class_logits: float32 [K, T].
    """

    boxes: NDArray[np.float32]
    objectness: NDArray[np.float32]
    vectors: NDArray[np.float32]
    classifier: NDArray[np.float32]
    class_logits: NDArray[np.float32]


def class_tensors(model: onnx.ModelProto) -> ClassTensors:
    """Find the class layer of a model file's graph.

    Raises:
        NotTeachableError: it has none.
    """
    made_by = {output: node for node in model.graph.node for output in node.output}
    seen, classifier = _linear(model, CLASS_LAYER).input[0], _linear(model, CLASSIFIER).output[0]
    logits = "class_logits"
    selection: list[onnx.NodeProto] = []
    while _picks_rows(made_by[logits]):
        selection.insert(0, made_by[logits])
        logits = made_by[logits].input[0]
    return ClassTensors(_unquantised(seen, made_by), classifier, logits, tuple(selection))


def _picks_rows(node: onnx.NodeProto) -> bool:
    return node.op_type in SELECTION and not any(one.name == "axis" and one.i for one in node.attribute)


def _linear(model: onnx.ModelProto, weight: str) -> onnx.NodeProto:
    """Return the matrix product with a weight; casts and dequantisation may lie between."""
    names = {tensor.name for tensor in model.graph.initializer if tensor.name.startswith(weight)}
    node: onnx.NodeProto
    for node in model.graph.node:
        if not names & set(node.input):
            continue
        if node.op_type in {"Gemm", "MatMul"}:
            return node
        names |= set(node.output)
    raise NotTeachableError(
        "this model file has no class layer around a classifier, which teaching needs: use one that was exported from "
        "a run of yolov2-lite, such as the embedded one"
    )


def _unquantised(tensor: str, made_by: dict[str, onnx.NodeProto]) -> str:
    while tensor in made_by and made_by[tensor].op_type in {"QuantizeLinear", "DequantizeLinear"}:
        tensor = made_by[tensor].input[0]
    return tensor


class Eye:
    """A model file that tells what it sees. Not safe to use from several threads."""

    def __init__(self, model: onnx.ModelProto, folder: Path, threads: int | None = None) -> None:
        """Prepare a graph.

        Args:
            model: of a model file.
            folder: where a copy with further outputs may be written; it is no longer needed afterwards.
            threads: CPU threads of an inference; None: one for each physical core.

        Raises:
            NotTeachableError: it has no class layer of this kind.
        """
        tensors = class_tensors(model)
        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        self._outputs = [*OUTPUTS]
        for tensor in (tensors.seen, tensors.classifier):
            picked = tensor
            for step, node in enumerate(tensors.selection):
                output = f"{tensor}/picked{step}"
                copy = onnx.NodeProto()
                copy.CopyFrom(node)
                copy.name, copy.input[0], copy.output[0] = output, picked, output
                watched.graph.node.append(copy)
                picked = output
            watched.graph.output.append(helper.make_tensor_value_info(picked, onnx.TensorProto.FLOAT, None))
            self._outputs.append(picked)
        path = folder / "watched.onnx"
        onnx.save(watched, path)
        self._session = start_session(path, [[(CPU, {})]], threads)

    def look(self, picture: NDArray[np.uint8], threshold: float) -> Seen:
        """Return the boxes of one letterboxed picture, uint8 [S, S, 3], with an objectness of at least `threshold`."""
        inputs: dict[str, Any] = {"pictures": picture[None], "threshold": np.array(threshold, np.float32)}
        boxes, objectness, _, logits, vectors, classifier = self._session.run(self._outputs, inputs)
        return Seen(boxes, objectness, vectors, classifier, logits)

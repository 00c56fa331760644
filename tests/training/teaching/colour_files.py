"""A model file with a class layer like yolov2-lite's, small enough to be written by hand.

It finds one box in each picture, of the whole picture, and what it sees of it is its mean colour. The classifier inside
knows two colours: dark is a beagle, and bright is a bicycle.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from model.metadata import METADATA_KEY, ModelMetadata
from tests.model_files import node, tiny_metadata
from training.teaching.memory import Memory, identity_of, sureness

SEEN: Final = 12
"""Length of the vector: the mean colour's three numbers, and how near they are to nine others."""
LABELLED: Final = ("dog", "cat", "beagle", "poodle", "bicycle", "truck")
NEAR: Final = 60.0


def colour_metadata(**fields: Any) -> ModelMetadata:
    """Return the metadata of such a file."""
    labelled = [node(name) for name in LABELLED]
    return tiny_metadata(**{"labelled": labelled, **fields})


def colour_model(seed: int = 0, metadata: ModelMetadata | None = None) -> onnx.ModelProto:
    """Return such a model."""
    metadata = metadata or colour_metadata()
    random = np.random.default_rng(seed)
    width = len(metadata.trained)
    near = random.uniform(0, 1, (9, 3)).astype(np.float32)
    constants: dict[str, NDArray[Any]] = {
        "255": np.array(255, np.float32),
        "near": near[None],
        "minus": np.array(-NEAR / 3, np.float32),
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "sides": np.array([1, 2], np.int64),
        "side": np.array([0, 0, 64, 64], np.float32),
        "four": np.array([4], np.int64),
        "zero": np.array([0], np.int64),
        ".9": np.array([0.9], np.float32),
        "detector.class_layer.correction.weight": random.normal(0, 1, (width, SEEN)).astype(np.float32),
        "correction.bias": random.normal(0, 1, width).astype(np.float32),
        "detector.class_layer.flat.weight": np.array([[-8] * 3 + [0] * 9, [8] * 3 + [0] * 9], np.float32),
        "flat.bias": np.array([12, -12], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "sides"], ["means"], keepdims=0),
        helper.make_node("Div", ["means", "255"], ["colour"]),
        helper.make_node("Unsqueeze", ["colour", "one"], ["colour1"]),
        helper.make_node("Sub", ["colour1", "near"], ["distance"]),
        helper.make_node("Mul", ["distance", "distance"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "two"], ["distances"], keepdims=0),
        helper.make_node("Mul", ["distances", "minus"], ["nearness"]),
        helper.make_node("Exp", ["nearness"], ["near_ones"]),
        helper.make_node("Concat", ["colour", "near_ones"], ["seen"], axis=1),
        helper.make_node("Gemm", ["seen", "detector.class_layer.flat.weight", "flat.bias"], ["flat"], transB=1),
        helper.make_node(
            "Gemm", ["seen", "detector.class_layer.correction.weight", "correction.bias"], ["every_logit"], transB=1
        ),
        helper.make_node("Shape", ["pictures"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["batch"]),
        helper.make_node("Expand", [".9", "batch"], ["every_objectness"]),
        helper.make_node("Concat", ["batch", "four"], ["batch4"], axis=0),
        helper.make_node("Expand", ["side", "batch4"], ["every_box"]),
        helper.make_node("GreaterOrEqual", ["every_objectness", "threshold"], ["passes"]),
        helper.make_node("NonZero", ["passes"], ["places"]),
        helper.make_node("Transpose", ["places"], ["place"]),
        helper.make_node("Squeeze", ["place", "one"], ["picture"]),
        helper.make_node("GatherND", ["every_box", "place"], ["boxes"]),
        helper.make_node("GatherND", ["every_objectness", "place"], ["objectness"]),
        helper.make_node("GatherND", ["every_logit", "place"], ["class_logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [
            helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["batch", "size", "size", 3]),
            helper.make_tensor_value_info("threshold", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["found", 4]),
            helper.make_tensor_value_info("objectness", TensorProto.FLOAT, ["found"]),
            helper.make_tensor_value_info("picture", TensorProto.INT64, ["found"]),
            helper.make_tensor_value_info("class_logits", TensorProto.FLOAT, ["found", width]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    return model


def colour_file(folder: Path, **fields: Any) -> Path:
    """Write such a file."""
    path = folder / "colours.onnx"
    onnx.save(colour_model(metadata=colour_metadata(**fields)), path)
    return path


def colour_memory(folder: Path, model: onnx.ModelProto | None = None) -> Path:
    """Write a memory of that model with greys in it, labelled as dogs."""
    model = model or colour_model()
    near = next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "near")[0]
    greys = np.repeat(np.linspace(0, 1, 200, dtype=np.float32)[:, None], 3, axis=1)
    greys += np.random.default_rng(1).normal(0, 0.03, greys.shape).astype(np.float32)
    vectors = seen_of(greys, near)
    brightness = 8 * greys.sum(axis=1) - 12
    sure = sureness(np.stack([-brightness, brightness], axis=1))
    memory = Memory.of(identity_of(model), vectors, sure, ["n02084071"] * len(vectors), SEEN, 1000)
    path = folder / "memory.npz"
    memory.write(path)
    return path


def seen_of(colours: NDArray[np.float32], near: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the model sees of colours [N, 3] of 0 to 1."""
    distances = np.square(colours[:, None] - near).sum(axis=2)
    return np.concatenate([colours, np.exp(-NEAR / 3 * distances)], axis=1).astype(np.float32)


def paint(folder: Path, colour: tuple[int, int, int], count: int, seed: int = 0) -> Path:
    """Write pictures that are nearly of one colour each."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([seed, *colour])
    for number in range(count):
        shade = np.clip(np.array(colour) + random.integers(-12, 13, 3), 0, 255).astype(np.uint8)
        Image.fromarray(np.broadcast_to(shade, (40, 40, 3)).copy()).save(folder / f"{number}.png")
    return folder

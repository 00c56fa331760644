"""Tiny but complete model files, whose answers can be told from the pixels.

The network looks for pure colours: each colour of `COLOURS` that a picture shows gives one box, which
encloses all its pixels, with the class logits of one concept. A red square is a beagle, however large:

    red     beagle    a leaf, with certainty
    green   dog       sure that it is a dog, undecided between its kinds
    blue    bicycle   a leaf in another branch

With `copies` there are more boxes for each colour, so that there is something to suppress: each 2 pixels
wider than the one before, with .2 less objectness and, from the second on, the logits of the parent concept.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.metadata import METADATA_KEY, ModelMetadata, Thresholds, TreeMetadata
from model.wordtree import WordTree

COLOURS = {"red": (255, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 255)}
"""What may be drawn; other colours, and what resizing mixes at edges, are background."""

OBJECTNESS = 0.9
"""Objectness of a colour's first box."""

SIZES = (64, 96, 128)

_NODES = (
    ("n00002684", -1, "object"),
    ("n00020827", -1, "matter"),
    ("n00015388", 0, "animal"),
    ("n04524313", 0, "vehicle"),
    ("n02084071", 2, "dog"),
    ("n02121620", 2, "cat"),
    ("n02834778", 3, "bicycle"),
    ("n02958343", 3, "car"),
    ("n04490091", 3, "truck"),
    ("n02088364", 4, "beagle"),
    ("n02113335", 4, "poodle"),
)
_UNTRAINED = ("matter", "car")
_TOLERANCE = 60  # grey levels a channel may differ; a JPEG shifts pure colours by less


def tiny_tree() -> WordTree:
    """Return object > {animal > {dog > {beagle, poodle}, cat}, vehicle > {bicycle, car, truck}} beside matter."""
    wnids, parents, names = zip(*_NODES, strict=True)
    return WordTree(wnids, parents, names, [(f"{name} synonym",) for name in names], [f"a {name}" for name in names])


def node(name: str) -> int:
    """Return the index in the tiny tree of the concept with this name."""
    return tiny_tree().names.index(name)


def tiny_metadata(**changes: Any) -> ModelMetadata:
    """Return the metadata of the tiny model, with some fields changed."""
    tree = tiny_tree()
    fields: dict[str, Any] = {
        "name": "tiny",
        "version": "1.2.3",
        "tree": TreeMetadata.of(tree),
        "trained": [index for index, name in enumerate(tree.names) if name not in _UNTRAINED],
        "anchors": [[1.0, 1.0]],
        "stride": 32,
        "sizes": SIZES,
        "default_size": 96,
        "thresholds": Thresholds(),
        "training": {"data": "none", "steps": 0},
        "evaluation": {"mAP50": 0.5},
        "licence": "CC0-1.0",
    }
    return ModelMetadata.model_validate(fields | changes)


def write_tiny_model(
    path: Path, metadata: ModelMetadata | None = None, *, text: str | None = None, copies: int = 1
) -> Path:
    """Write a tiny model.

    Args:
        path: the file to write.
        metadata: as `tiny_metadata` gives it by default.
        text: the metadata's JSON instead, for model files that are to be refused.
        copies: boxes for each colour; see the module.
    """
    model = tiny_model(copies)
    stored = text if text is not None else (metadata or tiny_metadata()).to_json()
    helper.set_model_props(model, {METADATA_KEY: stored})
    path.write_bytes(model.SerializeToString())
    return path


def tiny_model(copies: int = 1) -> onnx.ModelProto:
    """Build the ONNX model, without metadata."""
    graph = _Graph()
    boxes_per_picture = len(COLOURS) * copies
    colours = np.array(list(COLOURS.values()), np.float32)[None, :, None, None, :]
    pixels = graph.add("Unsqueeze", graph.cast("pictures", TensorProto.FLOAT), graph.constant([1], np.int64))
    difference = graph.add("Abs", graph.add("Sub", pixels, graph.constant(colours)))
    furthest = graph.reduce("ReduceMax", difference, [4])  # [B, C, S, S]
    shown = graph.add("Less", furthest, graph.constant(_TOLERANCE, np.float32))
    corners = graph.corners(shown)  # [B, C, 4], with a box of -1 where the colour is not shown
    found = graph.reduce("ReduceMax", graph.cast(shown, TensorProto.FLOAT), [2, 3])  # [B, C]

    growth = np.arange(copies, dtype=np.float32)[:, None, None] * np.array([-1, -1, 1, 1], np.float32)
    strength = (OBJECTNESS - 0.2 * np.arange(copies)).astype(np.float32)[:, None]
    all_boxes = graph.add("Add", graph.add("Unsqueeze", corners, graph.constant([1], np.int64)), graph.constant(growth))
    all_scores = graph.add(
        "Mul", graph.add("Unsqueeze", found, graph.constant([1], np.int64)), graph.constant(strength)
    )
    flat_boxes = graph.add("Reshape", all_boxes, graph.constant([-1, boxes_per_picture, 4], np.int64))
    flat_scores = graph.add("Reshape", all_scores, graph.constant([-1, boxes_per_picture], np.int64))

    passes = graph.add("GreaterOrEqual", flat_scores, "threshold")
    index = graph.add("Transpose", graph.add("NonZero", passes), perm=[1, 0])  # [K, 2]
    graph.add("GatherND", flat_boxes, index, name="boxes")
    graph.add("GatherND", flat_scores, index, name="objectness")
    graph.add("Gather", index, graph.constant(0, np.int64), axis=1, name="picture")
    which = graph.add("Gather", index, graph.constant(1, np.int64), axis=1)
    graph.add("Gather", graph.constant(_class_rows(copies)), which, axis=0, name="class_logits")
    return graph.model()


def _class_rows(copies: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the class logits [copies * colours, trained nodes] of every box of a picture."""
    tree = tiny_metadata().trained_tree
    sure = {"red": ("animal", "dog", "beagle"), "green": ("animal", "dog"), "blue": ("vehicle", "bicycle")}
    rows = []
    for copy in range(copies):
        for colour in COLOURS:
            path = sure[colour][: -1 if copy else None]
            rows.append([8.0 if name in path else 0.0 for name in tree.names])
    return np.array(rows, np.float32)


class _Graph:
    """Nodes and constants, named as they come."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        output = name or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def cast(self, value: str, to: int) -> str:
        return self.add("Cast", value, to=to)

    def reduce(self, operator: str, value: str, axes: Sequence[int]) -> str:
        return self.add(operator, value, self.constant(axes, np.int64), keepdims=0)

    def corners(self, shown: str) -> str:
        """Return x1, y1, x2, y2 [B, C, 4] of the box around the true values of a mask [B, C, S, S]."""
        sides = []
        for along, across in ((3, 2), (2, 3)):
            length = self.add("Gather", self.add("Shape", shown), self.constant(along, np.int64), axis=0)
            steps = self.add("Range", self.constant(0, np.int64), length, self.constant(1, np.int64))
            place = self.cast(steps, TensorProto.FLOAT)
            any_there = self.reduce("ReduceMax", self.cast(shown, TensorProto.FLOAT), [across])
            there = self.add("Greater", any_there, self.constant(0.5))
            first = self.reduce("ReduceMin", self.add("Where", there, place, self.constant(1e6)), [2])
            last = self.reduce("ReduceMax", self.add("Where", there, place, self.constant(-2.0)), [2])
            sides.append((first, self.add("Add", last, self.constant(1.0))))
        (left, right), (top, bottom) = sides
        axis = self.constant([2], np.int64)
        ends = [self.add("Unsqueeze", side, axis) for side in (left, top, right, bottom)]
        return self.add("Concat", *ends, axis=2)

    def model(self) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["batch", "size", "size", 3]),
            helper.make_tensor_value_info("threshold", TensorProto.FLOAT, []),
        ]
        outputs = [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["found", 4]),
            helper.make_tensor_value_info("objectness", TensorProto.FLOAT, ["found"]),
            helper.make_tensor_value_info("picture", TensorProto.INT64, ["found"]),
            helper.make_tensor_value_info("class_logits", TensorProto.FLOAT, ["found", len(_NODES) - len(_UNTRAINED)]),
        ]
        graph = helper.make_graph(self.nodes, "tiny", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        return model

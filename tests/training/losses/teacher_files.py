"""A teacher that is small enough to be written by hand: how red, green and blue a cell is are its first three kinds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def teacher_file(
    path: Path,
    side: int,
    *,
    strides: Sequence[int] = (8, 16, 32),
    kinds: int = 80,
    outputs: tuple[str, str] = ("boxes", "scores"),
) -> Path:
    """Write such a teacher of pictures of one size. Its boxes are the cells of grids."""
    counts = [side // stride for stride in strides]
    constants: dict[str, NDArray[Any]] = {
        "bright": np.array(255, np.float32),
        "cells": np.concatenate([_cells(*pair) for pair in zip(counts, strides, strict=True)])[None],
        "rest": np.array([0, 0, 0, 0, 0, kinds - 3], np.int64),
        "nothing": np.array(0, np.float32),
        "flat": np.array([0, 3, -1], np.int64),
        "no kind": np.array([0], np.int64),
        "first kind": np.array([1], np.int64),
        "kinds": np.array([2], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "bright"], ["colours"]),
        helper.make_node("Transpose", ["colours"], ["planes"], perm=[0, 3, 1, 2]),
    ]
    for stride in strides:
        shape = [stride, stride]
        nodes += [
            helper.make_node("AveragePool", ["planes"], [f"grid {stride}"], kernel_shape=shape, strides=shape),
            helper.make_node("Reshape", [f"grid {stride}", "flat"], [f"row {stride}"]),
        ]
    nodes += [
        helper.make_node("Concat", [f"row {stride}" for stride in strides], ["all planes"], axis=2),
        helper.make_node("Transpose", ["all planes"], ["seen"], perm=[0, 2, 1]),
        helper.make_node("Pad", ["seen", "rest", "nothing"], [outputs[1]]),
        helper.make_node("Slice", [outputs[1], "no kind", "first kind", "kinds"], ["one"]),
        helper.make_node("Mul", ["one", "nothing"], ["zeros"]),
        helper.make_node("Add", ["cells", "zeros"], [outputs[0]]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["batch", side, side, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "cells", None]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def _cells(count: int, stride: int) -> NDArray[np.float32]:
    """The corners [count * count, 4] of the cells of a grid, in pixels, row by row."""
    row, column = np.divmod(np.arange(count * count), count)
    return np.stack((column, row, column + 1, row + 1), axis=1).astype(np.float32) * stride

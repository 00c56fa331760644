"""A quantised network that reads the picture's own 8 bits, where they are what its first layer is to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

LARGEST_PIXEL: Final = 255


def take_pixels_as_they_are(model: onnx.ModelProto) -> None:
    """Let the first convolution read the picture's own 8 bits, where scaling them is the same as dequantising them.

    (pixel - mean) / scale with one mean and one scale for all channels is what DequantizeLinear computes. So the
    picture need neither become floats nor be quantised again, and loses nothing.
    """
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "QuantizeLinear":
            continue
        steps, name = [], node.input[0]
        while name in makers and makers[name].op_type in {"Sub", "Div", "Mul", "Cast"}:
            steps.append(makers[name])
            name = makers[name].input[0]
        if not steps or steps[-1].op_type != "Cast":
            continue
        found = _mean_and_scale(steps, constants)
        reader = next(
            (one for one in graph.node if one.op_type == "DequantizeLinear" and one.input[0] == node.output[0]), None
        )
        if found is None or reader is None:
            continue
        mean, scale = found
        graph.initializer.extend(
            (
                numpy_helper.from_array(np.array(scale, np.float32), "pixel_scale"),
                numpy_helper.from_array(np.array(mean, np.uint8), "pixel_zero_point"),
            )
        )
        reader.input[:] = [name, "pixel_scale", "pixel_zero_point"]
        return


def _mean_and_scale(steps: Sequence[onnx.NodeProto], constants: dict[str, NDArray[Any]]) -> tuple[int, float] | None:
    """Return the mean that is taken from pixels and the factor afterwards; None where they are not of this form."""
    mean, scale = 0.0, 1.0
    for step in reversed(steps[:-1]):
        value = constants.get(step.input[1])
        if value is None or value.size != 1:
            return None
        number = float(value.reshape(-1)[0])
        if step.op_type == "Sub":
            mean += number / scale
        else:
            scale = scale / number if step.op_type == "Div" else scale * number
    return (int(mean), scale) if mean.is_integer() and 0 <= mean <= LARGEST_PIXEL else None

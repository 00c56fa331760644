"""How a graph that computes in float16 is written, and one in float32 of a file that computes with 8 bits.

The same part of the graph is in float16 that would have 8 bits (see `training.export.quantization.part`): convolutions,
what lies between them, and the large linear layers. The arithmetic of boxes and of the gate stays float32: float16
tells places of 600 px by half a pixel only.
"""

from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.export.onnx_model import store_in_float
from training.export.quantization.part import Part, drop_unused

QUANTIZE: Final = "QuantizeLinear"
DEQUANTIZE: Final = "DequantizeLinear"
NOT_VALUES: Final = {"Reshape": (1,), "Resize": (1, 2, 3)}
"""Inputs of the part's nodes that say what to do, and keep their type."""


def in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model that computes the network in float16; inputs and outputs stay as they are.

    ONNX Runtime's own converter casts what every other node gives to float16 and back, also between two of them: boxes
    come out in steps of half a pixel. Here a tensor is cast where it enters the part or leaves it, once.

    Args:
        model: in float32.
    """
    half = store_in_float(model)
    part = Part(half).quantised
    weights = {tensor.name: tensor for tensor in half.graph.initializer}
    inside = {name for node in half.graph.node if node.name in part for name in node.output}
    casts: dict[tuple[str, int], str] = {}
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, kind: int) -> str:
        """Return a tensor's name in another type."""
        if (name, kind) not in casts:
            casts[name, kind] = f"{name}.{'half' if kind == TensorProto.FLOAT16 else 'float'}"
            if name in weights:
                values = numpy_helper.to_array(weights[name]).astype(np.float16)
                half.graph.initializer.append(numpy_helper.from_array(values, casts[name, kind]))
            else:
                nodes.append(helper.make_node("Cast", [name], [casts[name, kind]], casts[name, kind], to=kind))
        return casts[name, kind]

    for node in half.graph.node:
        for place, name in enumerate(node.input):
            if node.name not in part:
                node.input[place] = cast(name, TensorProto.FLOAT) if name in inside else name
            elif name and name not in inside and place not in NOT_VALUES.get(node.op_type, ()):
                node.input[place] = cast(name, TensorProto.FLOAT16)
        nodes.append(node)
    for output in half.graph.output:
        if output.name in inside:
            raise ValueError(f"the output {output.name} comes from the network itself")
    del half.graph.node[:], half.graph.value_info[:]
    half.graph.node.extend(nodes)
    drop_unused(half.graph)
    return half


def dequantised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model that computes in float32 what one with 8 bits approximates: without its steps, but in its ranges.

    What lies outside the range of 8 bits is cut off still: the quantiser leaves out activations that only did that.

    Args:
        model: with QuantizeLinear and DequantizeLinear in pairs, and weights behind DequantizeLinear alone.
    """
    plain = store_in_float(model)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain.graph.initializer}
    makers = {node.output[0]: node for node in plain.graph.node if node.op_type == QUANTIZE}
    nodes: list[onnx.NodeProto] = []
    for node in plain.graph.node:
        if node.op_type == DEQUANTIZE and node.input[0] in weights:
            plain.graph.initializer.append(numpy_helper.from_array(_value(node, weights), node.output[0]))
        elif node.op_type == DEQUANTIZE and node.input[0] not in makers:  # the picture's own 8 bits
            nodes += _scaled(node, weights, plain.graph)
        elif node.op_type == DEQUANTIZE:
            least, most = (f"{node.output[0]}.{end}" for end in ("least", "most"))
            for name, value in zip((least, most), _range(node, weights), strict=True):
                plain.graph.initializer.append(numpy_helper.from_array(value, name))
            source = makers[node.input[0]].input[0]
            nodes.append(helper.make_node("Clip", [source, least, most], list(node.output), node.name))
        elif node.op_type != QUANTIZE:
            nodes.append(node)
    del plain.graph.node[:]
    plain.graph.node.extend(nodes)
    drop_unused(plain.graph)
    return plain


def is_quantised(model: onnx.ModelProto) -> bool:
    """Tell whether a model computes with 8 bits."""
    return any(node.op_type == QUANTIZE for node in model.graph.node)


def _value(node: onnx.NodeProto, weights: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Return what a DequantizeLinear node makes of a weight."""
    quantised = weights[node.input[0]]
    scale = np.asarray(weights[node.input[1]], np.float32)
    zero = weights[node.input[2]] if len(node.input) > 2 and node.input[2] else np.zeros_like(scale)
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    if scale.ndim:
        shape = [-1 if place == axis % quantised.ndim else 1 for place in range(quantised.ndim)]
        scale, zero = scale.reshape(shape), np.asarray(zero).reshape(shape)
    value: NDArray[np.float32] = (quantised.astype(np.float32) - np.asarray(zero).astype(np.float32)) * scale
    return value


def _scaled(
    node: onnx.NodeProto, weights: dict[str, NDArray[np.generic]], graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    """Return what computes in floats what a DequantizeLinear node makes of a tensor of integers."""
    (name,) = node.output
    zero, scale = (np.asarray(weights[node.input[place]], np.float32) for place in (2, 1))
    for ending, value in (("zero", zero), ("scale", scale)):
        graph.initializer.append(numpy_helper.from_array(value, f"{name}.{ending}"))
    return [
        helper.make_node("Cast", [node.input[0]], [f"{name}.float"], f"{name}.float", to=TensorProto.FLOAT),
        helper.make_node("Sub", [f"{name}.float", f"{name}.zero"], [f"{name}.centred"], f"{name}.centred"),
        helper.make_node("Mul", [f"{name}.centred", f"{name}.scale"], [name], node.name),
    ]


def _range(node: onnx.NodeProto, weights: dict[str, NDArray[np.generic]]) -> tuple[NDArray[np.float32], ...]:
    """Return the least and the greatest value that a DequantizeLinear node can give."""
    zero = np.asarray(weights[node.input[2]])
    ends = np.iinfo(zero.dtype)
    scale = np.asarray(weights[node.input[1]], np.float32)
    least, most = ((np.float32(end) - zero.astype(np.float32)) * scale for end in (ends.min, ends.max))
    return least, most

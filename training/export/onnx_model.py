"""ONNX models in memory: from torch, made small, checked and written."""

import logging
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from model.version import VERSION

OPSET: Final = 18  # the oldest that torch's exporter writes without converting; read by ONNX Runtime 1.14 and later
HALF_LEAST_VALUES: Final = 1024  # smaller tensors, biases above all, cost nothing in full precision
HALF_SUFFIX: Final = "_half"
HALF_MAXIMUM: Final = float(np.finfo(np.float16).max)


def translate(
    graph: nn.Module,
    example: tuple[Tensor, ...],
    dynamic_shapes: tuple[dict[int, Any], ...],
    *,
    inputs: Iterable[str],
    outputs: Iterable[str],
) -> onnx.ModelProto:
    """Trace a module with example inputs, translate it to ONNX, and fold what depends on weights only.

    Args:
        graph: in evaluation mode.
        example: its inputs.
        dynamic_shapes: for each of them the dimensions that may change, as torch.export has it.
        inputs, outputs: their names.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here uses
    for optimiser in ("onnxscript", "onnx_ir"):  # they tell of every node that they fold, or do not
        logging.getLogger(optimiser).setLevel(logging.WARNING)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own deprecated calls, and dimension names replaced by `tidy`
        program = cast(
            "torch.onnx.ONNXProgram",
            torch.onnx.export(
                graph,
                example,
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=dynamic_shapes,
            ),
        )
        # The exporter folds small tensors only.
        no_limit = 2**40
        return onnxscript.optimizer.optimize(program.model_proto, input_size_limit=no_limit, output_size_limit=no_limit)


def tidy(model: onnx.ModelProto, name: str, shapes: Mapping[str, tuple[str | int | None, ...]]) -> None:
    """Leave out which lines of which source file each node came from, and name the dimensions.

    Args:
        model: changed in place.
        name: the graph's.
        shapes: of each input and output, by its name; a dimension that is no string stays as it is.
    """
    model.producer_name, model.producer_version, model.doc_string = "yolo9000", VERSION, ""
    graph = model.graph
    graph.name, graph.doc_string = name, ""
    del graph.value_info[:], graph.metadata_props[:], model.functions[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for value in (*graph.input, *graph.output):
        for dimension, dimension_name in zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True):
            if isinstance(dimension_name, str):
                dimension.dim_param = dimension_name


def store_in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its large float32 weights as float16 and, in the graph, cast back to float32.

    ONNX Runtime folds the casts when it loads the file, so they cost nothing at run time. Scales of quantised tensors
    that float16 has few digits for stay as they are: those of biases are a millionth or less.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    scales = {node.input[1] for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}}
    casts = []
    for tensor in halved.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if tensor.name in scales and values.min() < np.finfo(np.float16).tiny:
            continue
        if values.size < HALF_LEAST_VALUES or np.abs(values).max() > HALF_MAXIMUM:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}{HALF_SUFFIX}"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved


def store_in_float(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with float32 weights, by their own names, where `store_in_half` left float16 ones and casts."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in plain.graph.initializer}
    kept = []
    for node in plain.graph.node:
        tensor = weights.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None:
            kept.append(node)
        else:
            values = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(node.attribute[0].i))
            tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
    del plain.graph.node[:]
    plain.graph.node.extend(kept)
    return plain


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Check a model and write it."""
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))

"""How a graph that computes with 8 bits is written: QuantizeLinear and DequantizeLinear (QDQ).

The graph stays a graph of floats with pairs of these two nodes in it; ONNX Runtime makes integer kernels of what lies
between two pairs. Weights have a scale for each output channel, activations one for the tensor, found beforehand on
pictures (static). ONNX Runtime's own quantiser does the work.

`training.export.quantization.part` says what is quantised. Large linear layers give out floats.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from model.onnx_runtime import onnxruntime
from training.export.onnx_model import store_in_float
from training.export.quantization.clipping import narrowed
from training.export.quantization.library import (
    CalibrationDataReader,
    CalibrationMethod,
    QDQQuantizer,
    QuantType,
    TensorsData,
    create_calibrator,
)
from training.export.quantization.part import CONVOLUTION, LINEAR, Part, drop_unused
from training.export.quantization.pixels import take_pixels_as_they_are
from training.export.quantization.rounding import Convolution, GridWeights, input_moments, on_grid

Floats = NDArray[np.float32]

LARGEST_OF_SEVEN_BITS: Final = 64
LARGEST_OF_EIGHT_BITS: Final = 127
"""Steps either side of zero, as ONNX Runtime has them."""

FLOAT_PREFIX: Final = "float."
"""Before the names of weights that stay in float beside the same ones with 8 bits."""

_EIGHT_BITS: Final = {"quant_type": QuantType.QInt8, "axis": 0, "symmetric": True, "reduce_range": False}


def plain_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with float32 weights where it has float16 ones and casts, and with the types of all tensors."""
    return onnx.shape_inference.infer_shapes(store_in_float(model))


def layers(model: onnx.ModelProto) -> list[str]:
    """Return the names of the convolutions and linear layers that may be computed with 8 bits, in the graph's order.

    A convolution that no activation and no other convolution follows gives a number its meaning at once (a box's place,
    its objectness): it is no such layer.
    """
    part = Part(model)
    kinds = {CONVOLUTION, LINEAR}
    return [node.name for node in model.graph.node if node.name in part.quantised and node.op_type in kinds]


def activation_ranges(
    model: onnx.ModelProto, pictures: Iterable[NDArray[np.uint8]], method: CalibrationMethod
) -> TensorsData:
    """Return the range of every tensor that is to be quantised, seen on pictures.

    Every box is looked at, whatever its objectness: so no layer after the gate sees none.

    Args:
        model: as `plain_weights` gives it.
        pictures: batches, uint8 [B, S, S, 3], letterboxed.
        method: how outliers count.
    """
    part = Part(model)
    chosen = [node for node in model.graph.node if node.name in part.quantised]
    read = {name for node in chosen for name in node.input}
    made = {node.output[0] for node in chosen if node.op_type != LINEAR}
    wanted = [value for value in (*model.graph.value_info, *model.graph.output) if value.name in read | made]
    with TemporaryDirectory() as folder:
        cut = Path(folder, "cut.onnx")
        onnx.save(part.upto(wanted), cut)
        calibrator = create_calibrator(cut, None, str(Path(folder, "calibration.onnx")), method)
        for batch in pictures:  # one after the other, so that the values of one batch alone are held
            calibrator.collect_data(_Batches([batch], [one.name for one in calibrator.infer_session.get_inputs()]))
        found: TensorsData = calibrator.compute_data()
    # The calibrator tells of every tensor on the way; the gate's threshold, always 0 here, has no range.
    asked = {one.name for one in wanted}
    return TensorsData(method, {name: found[name] for name in found.keys() if name in asked})  # noqa: SIM118


def narrowed_ranges(model: onnx.ModelProto, ranges: TensorsData, pictures: Iterable[NDArray[np.uint8]]) -> TensorsData:
    """Return ranges with the rarest values left out where that makes the mean error less.

    Args:
        model: as `plain_weights` gives it.
        ranges: of all values.
        pictures: single ones, [1, S, S, 3].
    """
    return narrowed(ranges, _values(model, ranges.keys(), pictures))


def grid_weights(
    model: onnx.ModelProto, pictures: Iterable[NDArray[np.uint8]], *, reduce_range: bool = True
) -> dict[str, GridWeights]:
    """Return the weights of the convolutions that may be quantised, rounded with regard to their inputs, by name.

    Args:
        model: as `plain_weights` gives it.
        pictures: single ones, [1, S, S, 3].
        reduce_range: see `quantised`.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    chosen = set(layers(model))
    nodes = [node for node in model.graph.node if node.name in chosen and node.op_type == CONVOLUTION]
    found = [Convolution.of(node, weights[node.input[1]].dims) for node in nodes]
    moments = input_moments(found, _values(model, {one.source for one in found}, pictures))
    depthwise = _depthwise_weights(nodes, model)
    return {
        name: on_grid(
            numpy_helper.to_array(weights[name]),
            one,
            LARGEST_OF_SEVEN_BITS if reduce_range and name not in depthwise else LARGEST_OF_EIGHT_BITS,
        )
        for name, one in moments.items()
    }


def _values(
    model: onnx.ModelProto, names: Collection[str], pictures: Iterable[NDArray[np.uint8]]
) -> Iterator[dict[str, Floats]]:
    """Give what tensors hold, if they are described, picture by picture, for every box whatever its objectness."""
    cut = Part(model).upto([value for value in (*model.graph.value_info, *model.graph.output) if value.name in names])
    session = onnxruntime.InferenceSession(cut.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = [one.name for one in session.get_outputs()]
    inputs = {one.name for one in session.get_inputs()}
    for picture in pictures:
        given = {name: value for name, value in _inputs(picture).items() if name in inputs}
        yield dict(zip(outputs, session.run(outputs, given), strict=True))


def quantised(
    model: onnx.ModelProto,
    ranges: TensorsData,
    *,
    in_float: Collection[str] = (),
    reduce_range: bool = True,
    weights: Mapping[str, GridWeights] = MappingProxyType({}),
) -> onnx.ModelProto:
    """Return the model with its layers quantised.

    Args:
        model: as `plain_weights` gives it.
        ranges: as `activation_ranges` or `narrowed_ranges` gives them.
        in_float: names of layers that stay as they are, with the pooling and the activation that follow.
        reduce_range: use 7 bits of each weight. With all 8, processors without VNNI instructions may overflow 16 bits
            in a sum of two products, and then give other answers than those with them. Depthwise convolutions, which
            need the eighth bit most, always have it: their kernels widen each product.
        weights: as `grid_weights` gives them; the others are rounded to the nearest step.
    """
    part = Part(model)
    stays = part.with_followers(in_float)
    chosen = [node for node in model.graph.node if node.name in part.quantised and node.name not in stays]
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _part_weights(copy, {node.name for node in chosen})
    used = {node.input[1] for node in chosen if node.op_type in {CONVOLUTION, LINEAR}}
    overrides: dict[str, list[dict[str, Any]]] = {name: [_EIGHT_BITS] for name in _depthwise_weights(chosen, copy)}
    for tensor in copy.graph.initializer:
        if tensor.name in used and tensor.name in weights:
            values, scales = weights[tensor.name]
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
            overrides[tensor.name] = _channels(scales)
    quantizer = QDQQuantizer(
        copy,
        True,
        reduce_range,
        QuantType.QInt8,
        QuantType.QUInt8,
        ranges,
        [node.name for node in chosen],
        [],
        sorted({node.op_type for node in chosen}),
        {
            "OpTypesToExcludeOutputQuantization": [LINEAR],
            "TensorQuantOverrides": overrides,
        },
    )
    with _quiet():
        quantizer.quantize_model()
    quantizer.model.topological_sort()
    written: onnx.ModelProto = quantizer.model.model
    take_pixels_as_they_are(written)
    drop_unused(written.graph)
    del written.graph.value_info[:]
    return written


def _part_weights(model: onnx.ModelProto, chosen: Collection[str]) -> None:
    """Give nodes that stay in float weights of their own where they share them with chosen ones.

    ONNX Runtime's quantiser replaces a tensor wherever it is read.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    shared = {name for node in model.graph.node if node.name in chosen for name in node.input if name in tensors}
    parted = set[str]()
    for node in model.graph.node:
        if node.name in chosen or node.op_type not in {CONVOLUTION, LINEAR}:
            continue
        for place, name in enumerate(node.input):
            if name in shared:
                own = f"{FLOAT_PREFIX}{name}"
                if own not in parted:
                    parted.add(own)
                    model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(tensors[name]), own))
                node.input[place] = own


def _channels(scales: Floats) -> list[dict[str, Any]]:
    """Return scales as the quantiser takes them."""
    zero = np.array(0, np.int8)
    given: list[dict[str, Any]] = [{"scale": np.array(scale), "zero_point": zero} for scale in scales]
    given[0] |= {"quant_type": QuantType.QInt8, "axis": 0}
    return given


def _depthwise_weights(nodes: Iterable[onnx.NodeProto], model: onnx.ModelProto) -> list[str]:
    """Return the weights of convolutions that keep channels apart."""
    single = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 4 and tensor.dims[1] == 1}
    return [node.input[1] for node in nodes if node.op_type == CONVOLUTION and node.input[1] in single]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser from telling of every channel whose scale it has raised."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)


def _inputs(batch: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    return {"pictures": batch, "threshold": np.array(0, np.float32)}


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Batches of pictures as the calibrator reads them."""

    def __init__(self, batches: Iterable[NDArray[np.uint8]], inputs: Collection[str]) -> None:
        self._batches: Iterator[dict[str, Any]] = (
            {name: value for name, value in _inputs(one).items() if name in inputs} for one in batches
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)

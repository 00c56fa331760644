from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from model.onnx_runtime import onnxruntime
from model.runtime import OnnxDetector
from tests.training.export.quantization.square_detector import QUIET, SIZE, write_model
from training.export.onnx_model import store_in_half
from training.export.quantization import part
from training.export.quantization.graph import (
    activation_ranges,
    grid_weights,
    layers,
    narrowed_ranges,
    plain_weights,
    quantised,
)
from training.export.quantization.library import CalibrationMethod, TensorsData

pytestmark = pytest.mark.slow

Quantisable = tuple[onnx.ModelProto, TensorsData]
RED_SQUARE = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
RED_SQUARE[:, 32:64, 32:64] = (255, 0, 0)

CPU = Path("/proc/cpuinfo")
AVX512 = CPU.exists() and "avx512f" in CPU.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    return plain_weights(onnx.load(write_model(tmp_path_factory.mktemp("graph") / "model.onnx", QUIET)))


@pytest.fixture(scope="module")
def ranges(model: onnx.ModelProto) -> TensorsData:
    return activation_ranges(model, [RED_SQUARE, RED_SQUARE // 2], CalibrationMethod.MinMax)


def names(model: onnx.ModelProto, kind: str) -> list[str]:
    return [node.name for node in model.graph.node if node.op_type == kind]


def run(model: onnx.ModelProto, folder: Path) -> Any:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return OnnxDetector.load(path).run(RED_SQUARE, 0.25)[0]


def test_the_layer_of_boxes_and_small_linear_layers_stay_as_they_are(model: onnx.ModelProto) -> None:
    assert layers(model) == names(model, "Conv")[:3]


def test_large_linear_layers_are_quantised(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "LEAST_WEIGHTS", 1)
    assert layers(model) == [*names(model, "Conv")[:3], *names(model, "Gemm")]
    ranges = activation_ranges(model, [RED_SQUARE], CalibrationMethod.MinMax)
    before, after = run(model, tmp_path), run(quantised(model, ranges), tmp_path)
    assert len(before) == 1
    assert after.boxes == pytest.approx(before.boxes, abs=0.1)
    assert after.objectness == pytest.approx(before.objectness, abs=0.02)
    assert after.class_logits == pytest.approx(before.class_logits, abs=0.1)


@pytest.mark.parametrize(("reduce_range", "most"), [(True, 64), (False, 127)])
def test_weights_have_a_scale_for_each_channel(
    model: onnx.ModelProto, ranges: TensorsData, reduce_range: bool, most: int
) -> None:
    made = quantised(model, ranges, reduce_range=reduce_range)
    weights = {one.name: numpy_helper.to_array(one) for one in made.graph.initializer}
    small = [values for values in weights.values() if values.dtype == np.int8 and values.ndim == 4]
    scales = [values for name, values in weights.items() if name.endswith("weight_scale")]

    assert len(small) == 3
    assert max(int(np.abs(values.astype(int)).max()) for values in small) <= most
    assert sorted(len(values) for values in scales) == [2, 2, 4]


def test_pixels_are_read_as_they_are(model: onnx.ModelProto, ranges: TensorsData, tmp_path: Path) -> None:
    made = quantised(model, ranges)
    (first,) = (node for node in made.graph.node if node.name == layers(model)[0])
    makers = {output: node for node in made.graph.node for output in node.output}
    source = makers[first.input[0]]

    assert source.op_type == "DequantizeLinear"
    assert makers[source.input[0]].op_type == "Transpose"
    assert makers[source.input[0]].input[0] == "pictures"
    assert len(run(made, tmp_path)) == 1


def test_layers_left_in_float_keep_their_weights_and_activation(model: onnx.ModelProto, ranges: TensorsData) -> None:
    made = quantised(model, ranges, in_float=layers(model))

    assert not names(made, "QuantizeLinear")
    assert len(names(made, "Relu")) == len(names(model, "Relu"))


def test_a_pooling_after_a_layer_in_float_is_in_float(tmp_path: Path) -> None:
    """ONNX Runtime would move what quantises the pooled values in front of the pooling, and pool integers slowly."""
    shapes = {"stem.weight": (4, 3, 3, 3), "last.weight": (4, 4, 1, 1)}
    weights = [
        numpy_helper.from_array(np.random.default_rng(0).normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Cast", ["pictures"], ["pixels"], "cast", to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["channels"], "transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels", "stem.weight"], ["stem"], "stem"),
        helper.make_node("MaxPool", ["stem"], ["pooled"], "pool", kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("LeakyRelu", ["pooled"], ["activated"], "leaky", alpha=0.1),
        helper.make_node("Conv", ["activated", "last.weight"], ["last"], "last"),
        helper.make_node("Relu", ["last"], ["out"], "relu"),
    ]
    given = helper.make_tensor_value_info("pictures", onnx.TensorProto.UINT8, [1, SIZE, SIZE, 3])
    answer = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None)
    whole = helper.make_model(
        helper.make_graph(nodes, "pooling", [given], [answer], weights), opset_imports=[helper.make_opsetid("", 18)]
    )
    plain = plain_weights(whole)
    made = quantised(plain, activation_ranges(plain, [RED_SQUARE], CalibrationMethod.MinMax), in_float=["stem"])
    path = tmp_path / "optimised.onnx"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(path)
    (pool,) = (node for node in optimised.graph.node if node.op_type == "MaxPool")
    makers = {output: node.op_type for node in optimised.graph.node for output in node.output}
    assert makers[pool.input[0]] != "QuantizeLinear"
    assert "QLinearConv" in makers.values()  # the other layer


def one_in_float(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Return the model with a weight beside which, with one scale, others are nothing, and it rounded but for that."""
    odd = onnx.ModelProto()
    odd.CopyFrom(model)
    for tensor in odd.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if tensor.name == "detector.colours.bias":
            values[3] = 0
        elif tensor.name == "detector.telling.weight":
            values[0, 3] = 1000  # of a channel that is always 0: with one scale for all, the others would be nothing
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    ranges = activation_ranges(odd, [RED_SQUARE], CalibrationMethod.MinMax)
    return odd, quantised(odd, ranges, in_float=layers(odd)[1:2])


def test_onnx_runtime_leaves_them_in_float_too(model: onnx.ModelProto, tmp_path: Path) -> None:
    odd, made = one_in_float(model)
    assert run(made, tmp_path).objectness == pytest.approx(run(odd, tmp_path).objectness, abs=0.02)


def test_it_would_not_by_itself(model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on processors with AVX-512; on others the answer survives."""
    _, made = one_in_float(model)
    monkeypatch.setattr("model.session.DISABLED_OPTIMIZERS", [])
    lost = len(run(made, tmp_path)) == 0
    assert lost == AVX512, "ONNX Runtime has no such optimisation any more; it need not be disabled"


def test_weights_stored_in_half_become_plain_again(monkeypatch: pytest.MonkeyPatch, model: onnx.ModelProto) -> None:
    monkeypatch.setattr("training.export.onnx_model.HALF_LEAST_VALUES", 2)
    halved = store_in_half(model)
    assert len(names(halved, "Cast")) > len(names(model, "Cast"))
    plain = plain_weights(halved)

    assert names(plain, "Cast") == names(model, "Cast")
    before, after = ({one.name: numpy_helper.to_array(one) for one in of.graph.initializer} for of in (model, plain))
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert after[name].dtype == values.dtype
        np.testing.assert_allclose(after[name], values, rtol=1e-3)


def test_layers_that_share_weights_are_quantised_one_by_one() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 4, 1, 1)).astype(np.float32)
    tensors = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(np.ones(4, np.float32), "bias")]
    nodes = [
        helper.make_node(kind, [*read, *(["weight", "bias"] if kind == "Conv" else [])], [made], name=made)
        for kind, read, made in (
            ("Identity", ["pictures"], "seen"),
            ("Conv", ["seen"], "first"),
            ("Relu", ["first"], "between"),
            ("Conv", ["between"], "second"),
            ("Relu", ["second"], "end"),
        )
    ]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4, 6, 6]) for name in ("pictures", "end")]
    made = helper.make_graph(nodes, "shared", ends[:1], ends[1:], tensors)
    model = plain_weights(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))
    pictures: Any = [np.random.default_rng(1).normal(size=(1, 4, 6, 6)).astype(np.float32)]
    ranges = activation_ranges(model, pictures, CalibrationMethod.MinMax)
    assert layers(model) == ["first", "second"]

    weights = grid_weights(model, pictures)
    half = quantised(model, ranges, in_float=["first"], weights=weights)

    tensors_then = {one.name: numpy_helper.to_array(one) for one in half.graph.initializer}
    first, second = (next(node for node in half.graph.node if node.name == name) for name in ("first", "second"))
    assert (tensors_then[first.input[1]] == weight).all()
    assert (tensors_then[first.input[2]] == 1).all()
    (source,) = (node for node in half.graph.node if second.input[1] in node.output)
    integers, scales = (tensors_then[name].astype(np.float32) for name in source.input[:2])
    assert integers * scales.reshape(-1, 1, 1, 1) == pytest.approx(weights["weight"].values)
    assert (weights["weight"].values != weight).any()
    whole = quantised(model, ranges, weights=weights)
    assert not [one for one in whole.graph.initializer if one.data_type == onnx.TensorProto.FLOAT and len(one.dims) > 1]


def test_narrowed_ranges_are_within_those_of_all_values(model: onnx.ModelProto, ranges: TensorsData) -> None:
    found = narrowed_ranges(model, ranges, [RED_SQUARE])
    assert found.keys() == ranges.keys()
    for name in ranges.keys():  # noqa: SIM118 - it is no mapping
        (low, high), (least, most) = found[name].range_value, ranges[name].range_value
        assert least <= low <= high <= most

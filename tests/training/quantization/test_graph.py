from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationMethod
from onnxruntime.quantization.calibrate import TensorsData

from model.runtime import OnnxDetector
from tests.training.quantization.square_detector import QUIET, SIZE, write_model
from training.export import store_in_half
from training.quantization import graph
from training.quantization.graph import activation_ranges, layers, plain_weights, quantised

Quantisable = tuple[onnx.ModelProto, TensorsData]
RED_SQUARE = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
RED_SQUARE[:, 32:64, 32:64] = (255, 0, 0)


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
    monkeypatch.setattr(graph, "LEAST_WEIGHTS", 1)
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


def test_onnx_runtime_leaves_them_in_float_too(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    made = quantised(odd, ranges, in_float=layers(odd)[1:2])

    assert run(made, tmp_path).objectness == pytest.approx(run(odd, tmp_path).objectness, abs=0.02)
    monkeypatch.setattr("model.runtime.DISABLED_OPTIMIZERS", [])
    assert len(run(made, tmp_path)) == 0, "ONNX Runtime has no such optimisation any more; it need not be disabled"


def test_weights_stored_in_half_become_plain_again(monkeypatch: pytest.MonkeyPatch, model: onnx.ModelProto) -> None:
    monkeypatch.setattr("training.export.HALF_LEAST_VALUES", 2)
    halved = store_in_half(model)
    assert len(names(halved, "Cast")) > len(names(model, "Cast"))
    plain = plain_weights(halved)

    assert names(plain, "Cast") == names(model, "Cast")
    before, after = ({one.name: numpy_helper.to_array(one) for one in of.graph.initializer} for of in (model, plain))
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert after[name].dtype == values.dtype
        np.testing.assert_allclose(after[name], values, rtol=1e-3)

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from training.quantization.bias import add_to_biases, corrections, input_means

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.normal(3, 1, (4, 4, 12, 12)).astype(np.float32)


def convolution(weight: Any, groups: int, *, biased: bool) -> onnx.ModelProto:
    names = ["x", "weight", *(["bias"] if biased else [])]
    tensors = [numpy_helper.from_array(weight, "weight")]
    if biased:
        tensors.append(numpy_helper.from_array(np.ones(len(weight), np.float32), "bias"))
    shape: list[str | int | None] = ["batch", 4, 12, 12]
    graph = helper.make_graph(
        [helper.make_node("Conv", names, ["y"], name="layer", group=groups)],
        "one convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", len(weight), None, None])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def outputs(model: onnx.ModelProto) -> Any:
    return input_means(model, [{"x": PICTURES, "of no use": PICTURES}])["y"]


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("groups", "inputs"), [(1, 4), (2, 2), (4, 1)])
def test_what_rounding_adds_on_average_is_taken_back(groups: int, inputs: int, biased: bool) -> None:
    weight = RANDOM.normal(size=(8, inputs, 3, 3)).astype(np.float32)
    scale = np.full(8, 0.4, np.float32)
    small = np.round(weight / scale[:, None, None, None]).astype(np.int8)
    model = convolution(weight, groups, biased=biased)
    coarse = convolution(small * scale[:, None, None, None], groups, biased=biased)
    rounded = onnx.ModelProto()
    rounded.graph.initializer.extend(
        [numpy_helper.from_array(small, "weight_quantized"), numpy_helper.from_array(scale, "weight_scale")]
    )
    means = {"x": PICTURES.mean(axis=(0, 2, 3))}
    expected, off = outputs(model), np.abs(outputs(coarse) - outputs(model)).max()

    add_to_biases(coarse, corrections(model, rounded, ["layer"], means))

    assert off > 0.5
    assert np.abs(outputs(coarse) - expected).max() < off / 5


def test_other_convolutions_keep_their_biases() -> None:
    model = convolution(RANDOM.normal(size=(8, 4, 3, 3)).astype(np.float32), 1, biased=True)
    before = model.SerializeToString(deterministic=True)
    add_to_biases(model, {"another": np.ones(8, np.float32)})
    assert model.SerializeToString(deterministic=True) == before


def test_means_are_taken_over_all_pictures() -> None:
    model = convolution(np.ones((1, 4, 1, 1), np.float32), 1, biased=False)
    batches = [{"x": np.full((1, 4, 12, 12), value, np.float32)} for value in (1, 3)]
    assert input_means(model, batches)["y"] == pytest.approx([8])

"""The embedded model without its 8 bits: in float32 its ranges hold, and float16 is near that."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from model.pictures.decoding import decode_letterboxed
from model.runtime import OnnxDetector, default_model_path
from tests.proofs.clients import PICTURE
from training.export.onnx_model import write_model
from training.export.quantization.half import dequantised, in_half, is_quantised

pytestmark = pytest.mark.slow


def test_the_embedded_model(tmp_path: Path) -> None:
    original = onnx.load(default_model_path())
    assert is_quantised(original)
    single = dequantised(original)
    half = in_half(single)
    assert not is_quantised(single)
    # tensors are cast where they enter the part and leave it, and nowhere in between
    casts = [sum(node.op_type == "Cast" for node in one.graph.node) for one in (single, half)]
    assert casts[1] - casts[0] < 30
    kinds = {node.op_type for node in half.graph.node if node.output[0].endswith(".half")}
    assert kinds == {"Cast"}
    square = decode_letterboxed(Path(PICTURE).read_bytes(), 512)[0][None]
    found = []
    for name, model in (("single", single), ("half", half)):
        write_model(model, tmp_path / f"{name}.onnx")
        found += OnnxDetector.load(tmp_path / f"{name}.onnx").run(square, 0.3)
    found += OnnxDetector.load(default_model_path()).run(square, 0.3)
    exact, halved, eight_bits = found
    assert len(exact.boxes) == len(halved.boxes) > 20
    assert np.abs(exact.boxes - halved.boxes).max() < 1
    assert np.abs(exact.objectness - halved.objectness).max() < 0.005
    assert np.abs(exact.class_logits - halved.class_logits).max() < 0.5
    assert abs(len(eight_bits.boxes) - len(exact.boxes)) < 5

"""The embedded model without its 8 bits: in float32 its ranges hold, and float16 is near that."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from model.pictures.decoding import decode_letterboxed
from model.runtime import OnnxDetector, default_model_path
from tests.proofs.clients import PICTURE
from training.export.onnx_model import write_model
from training.export.quantization.half import dequantised, in_half, is_quantised

pytestmark = pytest.mark.slow

CLOSE = 0.005  # how far objectness in float16 may be off


def between(objectness: NDArray[np.float32]) -> float:
    """The middle of the widest gap between these, so that rounding, which differs by processor, lifts none over it."""
    steps = np.sort(objectness)
    widest = int(np.diff(steps).argmax())
    assert steps[widest + 1] - steps[widest] > 2 * CLOSE
    return float(steps[widest : widest + 2].mean())


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
    detectors = []
    for name, model in (("single", single), ("half", half)):
        write_model(model, tmp_path / f"{name}.onnx")
        detectors.append(OnnxDetector.load(tmp_path / f"{name}.onnx"))
    detectors.append(OnnxDetector.load(default_model_path()))
    (seen,) = detectors[0].run(square, 0.25)
    threshold = between(seen.objectness[seen.objectness < 0.4])
    exact, halved, eight_bits = (one.run(square, threshold)[0] for one in detectors)
    assert len(exact.boxes) == len(halved.boxes) > 20
    assert np.abs(exact.boxes - halved.boxes).max() < 1
    assert np.abs(exact.objectness - halved.objectness).max() < CLOSE
    assert np.abs(exact.class_logits - halved.class_logits).max() < 0.5
    assert abs(len(eight_bits.boxes) - len(exact.boxes)) < 5

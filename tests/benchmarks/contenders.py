"""What of ours takes turns: each function makes a contender for `tests.benchmarks.worker`."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.answers.detections import RawDetections, postprocess
from model.geometry import Letterbox
from model.onnx_runtime import onnxruntime
from model.pictures.decoding import PADDING, decode_letterboxed
from model.providers import usable_cores
from model.runtime import OnnxDetector, default_model_path
from model.tree_files import packaged_tree
from tests.benchmarks.bench_walk import sure_logits
from tests.benchmarks.worker import Work

PROFILED_RUNS = 5


def bare(
    model: str, picture: str, size: int, threshold: float, threads: int | None = None, *, spinning: bool = True
) -> Work:
    """Nothing but `session.run` on a letterboxed picture, with ONNX Runtime's own settings but for these."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores() if threads is None else threads
    options.log_severity_level = 3
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    pixels, _ = decode_letterboxed(Path(picture).read_bytes(), size)
    inputs = {"pictures": pixels[None], "threshold": np.array(threshold, np.float32)}
    names = [output.name for output in session.get_outputs()]
    return lambda: dict(zip(names, session.run(names, inputs), strict=True))


def whole(model: str, picture: str, size: int, threshold: float) -> Work:
    """From the bytes of a JPEG to labels, one step after the other."""
    detector, data = OnnxDetector.load(model), Path(picture).read_bytes()

    def work() -> dict[str, Any]:
        pixels, frame = decode_letterboxed(data, size)
        (raw,) = detector.run(pixels[None], threshold)
        found = detector.postprocess(raw, frame)
        return {"nodes": found.nodes, "boxes": found.boxes}

    return work


def loaded(model: str, picture: str, size: int, threshold: float) -> Work:
    """A model file as the service loads it, and its network alone."""
    detector = OnnxDetector.load(model)
    pixels, _ = decode_letterboxed(Path(picture).read_bytes(), size)
    return lambda: detector.run(pixels[None], threshold)


def scaled_decoding(picture: str, size: int) -> Work:
    """Decode as far as the network needs it."""
    data = _read_beside_a_network(picture)
    return lambda: decode_letterboxed(data, size)


def full_decoding(picture: str, size: int) -> Work:
    """Decode in full and resize, all with plain Pillow."""
    data = _read_beside_a_network(picture)

    def work() -> NDArray[np.uint8]:
        with Image.open(io.BytesIO(data)) as file:
            image = file.convert("RGB")
        frame = Letterbox(size, image.width, image.height)
        small = image.resize((frame.resized_width, frame.resized_height), Image.Resampling.BILINEAR)
        square = Image.new("RGB", (size, size), (PADDING,) * 3)
        square.paste(small, (frame.left, frame.top))
        return np.asarray(square)

    return work


def _read_beside_a_network(picture: str) -> bytes:
    """Read a picture in a process that has run a network, as a service has.

    Before, the C library gives the memory of each decoded picture back to the system, and the next one pays for it.
    """
    detector = OnnxDetector.load(default_model_path())
    size = detector.metadata.default_size
    detector.run(np.full((1, size, size, 3), PADDING, np.uint8), detector.metadata.thresholds.objectness)
    return Path(picture).read_bytes()


def answering(boxes: int) -> Work:
    """From the network's output to detections: boxes of all sizes, and logits with which every path is long."""
    tree, chance = packaged_tree(), np.random.default_rng(0)
    centre, sides = chance.uniform(0, 544, (boxes, 2)), chance.uniform(16, 272, (boxes, 2))
    edges = np.concatenate([centre - sides / 2, centre + sides / 2], axis=1).astype(np.float32)
    objectness, logits = chance.uniform(0.25, 1, boxes).astype(np.float32), sure_logits(tree, boxes)
    every_node, frame = np.arange(len(tree), dtype=np.int32), Letterbox(544, 768, 576)
    raw = RawDetections(edges, objectness, logits)
    unproven = np.zeros(len(tree), dtype=np.bool_)

    def work() -> None:
        postprocess(
            raw,
            frame,
            tree,
            every_node,
            unproven=unproven,
            hierarchy_threshold=0.5,
            iou_threshold=0.45,
            max_detections=100,
        )

    return work


def product(library: str, side: int) -> Work:
    """The product of two square matrices, as fast as a library has it."""
    chance = np.random.default_rng(0)
    a, b = (chance.uniform(-1, 1, (side, side)).astype(np.float32) for _ in range(2))
    if library == "numpy":
        return lambda: np.matmul(a, b)
    if library == "torch":
        import torch

        torch.set_num_threads(usable_cores())
        c, d = torch.from_numpy(a), torch.from_numpy(b)
        return lambda: torch.mm(c, d)
    kind, types, values = "MatMul", ("FLOAT", "FLOAT", "FLOAT"), [a, b]
    if library == "onnxruntime int8":
        kind, types = "MatMulInteger", ("UINT8", "INT8", "INT32")
        values = [(127 * (a + 1)).astype(np.uint8), (63 * b).astype(np.int8)]
    session = _product_session(kind, types, values[1])
    return lambda: session.run(None, {"a": values[0]})


def _product_session(kind: str, types: tuple[str, str, str], weight: Any) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    first, _, last = (getattr(TensorProto, name) for name in types)
    side = len(weight)
    graph = helper.make_graph(
        [helper.make_node(kind, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", first, [side, side])],
        [helper.make_tensor_value_info("c", last, [side, side])],
        [numpy_helper.from_array(weight, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def profiled(model: str, picture: str, size: int, threshold: float) -> Work:
    """How long each kind of operator takes, in one thread."""
    pixels, _ = decode_letterboxed(Path(picture).read_bytes(), size)
    inputs = {"pictures": pixels[None], "threshold": np.array(threshold, np.float32)}

    def work() -> dict[str, Any]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.enable_profiling, options.log_severity_level = 1, True, 3
        with TemporaryDirectory() as folder:
            options.profile_file_prefix = str(Path(folder) / "profile")
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            for _ in range(PROFILED_RUNS):
                session.run(None, inputs)
            events = json.loads(Path(session.end_profiling()).read_text())
        kinds: Counter[str] = Counter()
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                kinds[event["args"]["op_name"]] += event["dur"]
        return {"kinds": np.array(list(kinds)), "microseconds": np.array(list(kinds.values()))}

    return work

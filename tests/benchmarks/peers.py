"""What ours is compared with, each at work in a process of its own; see `tests.benchmarks.worker`.

They get what they need for their best: the picture is decoded and letterboxed beforehand, or as fast as ours is.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.answers.detections import RawDetections, postprocess
from model.pictures.decoding import decode_letterboxed
from model.providers import usable_cores
from model.tree_files import packaged_tree
from tests.benchmarks.worker import Work
from tests.training.darknet.libdarknet import LIBRARY

Floats = NDArray[np.float32]
BOX_VALUES = 5


def darknet(cfg: str, weights: str, anchors: list[list[float]], picture: str, size: int, threshold: float) -> Work:
    """Debian's darknet, from the bytes of a JPEG to labels.

    Its forward pass is its own; what comes after is ours, as its own tree softmax is wrong and slower still.

    Args:
        cfg: without its [region], so that the raw output comes out.
        weights: the weights file.
        anchors: widths and heights in cells.
        picture: a JPEG file.
        size: side of the input in pixels.
        threshold: least objectness.
    """
    library = ctypes.CDLL(str(LIBRARY))
    library.load_network.restype = ctypes.c_void_p
    library.network_predict.restype = ctypes.POINTER(ctypes.c_float)
    network = ctypes.c_void_p(library.load_network(cfg.encode(), weights.encode(), 0))
    library.set_batch_network(network, 1)
    data, tree = Path(picture).read_bytes(), packaged_tree()
    count, every_node = library.network_outputs(network), np.arange(len(tree), dtype=np.int32)

    def work() -> dict[str, Any]:
        pixels, frame = decode_letterboxed(data, size)
        scaled = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255)
        output = library.network_predict(network, scaled.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
        raw = np.ctypeslib.as_array(output, (count,))
        boxes = decoded(raw, np.array(anchors, np.float32), size, threshold)
        found = postprocess(
            boxes, frame, tree, every_node, hierarchy_threshold=0.5, iou_threshold=0.45, max_detections=100
        )
        return {"nodes": found.nodes, "boxes": found.boxes}

    return work


def decoded(raw: Floats, anchors: Floats, size: int, threshold: float) -> RawDetections:
    """Turn the raw output of a last convolution, anchor by anchor (5 + classes) rows of cells, into boxes that pass."""
    grid = size // 32
    by_anchor = raw.reshape(len(anchors), -1, grid, grid)
    objectness = 1 / (1 + np.exp(-by_anchor[:, 4]))
    anchor, row, column = np.nonzero(objectness >= np.float32(threshold))
    rows = by_anchor[anchor, :, row, column]
    centre = (1 / (1 + np.exp(-rows[:, :2])) + np.stack([column, row], axis=1)) * 32
    sides = np.exp(rows[:, 2:4]) * anchors[anchor] * 32
    edges = np.concatenate([centre - sides / 2, centre + sides / 2], axis=1).astype(np.float32)
    passing = objectness[anchor, row, column].astype(np.float32)
    return RawDetections(edges, passing, np.ascontiguousarray(rows[:, BOX_VALUES:]))


def torch_eager(cfg: str, weights: str, picture: str, size: int) -> Work:
    """PyTorch, as a port of the network runs: every row of the last layer, no compilation."""
    import torch

    from training.darknet.cfg import read_cfg
    from training.darknet.network import DarknetDetector, build_network
    from training.darknet.weights import read_weights

    network = build_network(read_cfg(Path(cfg))[0])
    assert isinstance(network, DarknetDetector)
    read_weights(network, Path(weights))
    network.eval()
    torch.set_num_threads(usable_cores())
    pixels, _ = decode_letterboxed(Path(picture).read_bytes(), size)
    batch = torch.from_numpy(pixels[None].transpose(0, 3, 1, 2).astype(np.float32))

    def work() -> dict[str, Any]:
        with torch.inference_mode():
            return {"raw": network.dense(batch).numpy()}

    return work


def openvino(model: str, picture: str, size: int, threshold: float) -> Work:
    """OpenVINO on the very model file, at the same precision: by itself it would use bfloat16 where it can."""
    import openvino as library

    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": usable_cores(),
    }
    core = library.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", options)
    request = compiled.create_infer_request()
    pixels, _ = decode_letterboxed(Path(picture).read_bytes(), size)
    inputs = {"pictures": pixels[None], "threshold": np.array(threshold, np.float32)}

    def work() -> dict[str, Any]:
        request.infer(inputs)
        return {output.get_any_name(): request.get_tensor(output).data for output in compiled.outputs}

    return work


def opencv(model: str, picture: str, size: int) -> Work:
    """OpenCV's DNN on a graph that ends at the last convolution, with its input made beforehand."""
    import cv2

    cv2.setNumThreads(usable_cores())
    network = cv2.dnn.readNetFromONNX(model)
    pixels, _ = decode_letterboxed(Path(picture).read_bytes(), size)
    blob = np.ascontiguousarray(pixels[None].transpose(0, 3, 1, 2), np.float32)

    def work() -> dict[str, Any]:
        network.setInput(blob)
        return {"raw": network.forward()}

    return work

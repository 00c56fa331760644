"""Debian's libdarknet at work, in a process of its own: darknet ends the process it is in at the first error.

Run as a script it loads one network and answers for every input of an .npy file; `run_darknet` calls it.
"""

import ctypes
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

LIBRARY = Path("/usr/lib/darknet/libdarknet.so")
SHARE = Path("/usr/share/darknet")
PHOTOS = ("dog", "eagle", "giraffe", "horses", "kite", "person", "scream")
needs_libdarknet = pytest.mark.skipif(not LIBRARY.is_file(), reason="needs Debian's package darknet, for its library")

Floats = NDArray[np.float32]


class Found(NamedTuple):
    """darknet's detections of one input: boxes [N, 4] (centre and sides, as parts of the input), classes and scores."""

    boxes: Floats
    classes: NDArray[np.int64]
    scores: Floats


def run_darknet(cfg: Path, weights: Path, inputs: Floats, folder: Path) -> Floats:
    """Return the output of a cfg's last layer for inputs [N, 3, S, S] of values 0 to 1, a row each."""
    outputs: Floats = _call("outputs", cfg, weights, inputs, folder)["outputs"]
    return outputs


def detect_with_darknet(
    cfg: Path, weights: Path, inputs: Floats, folder: Path, *, classes: int, threshold: float, iou: float
) -> list[Found]:
    """Return darknet's detections after its suppression, for each input [3, S, S] of values 0 to 1."""
    arrays = _call(f"detections {classes} {threshold} {iou}", cfg, weights, inputs, folder)
    return [
        Found(*(arrays[f"{key}{number}"] for key in ("boxes", "classes", "scores"))) for number in range(len(inputs))
    ]


def _call(task: str, cfg: Path, weights: Path, inputs: Floats, folder: Path) -> dict[str, Any]:
    given, answer = folder / "inputs.npy", folder / "answer.npz"
    np.save(given, inputs)
    command = [sys.executable, __file__, str(cfg), str(weights), str(given), str(answer), *task.split()]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={"OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr[-2000:]
    with np.load(answer) as arrays:
        return dict(arrays)


class _Box(ctypes.Structure):
    _fields_ = [(name, ctypes.c_float) for name in "xywh"]


class _Detection(ctypes.Structure):
    _fields_ = [
        ("bbox", _Box),
        ("classes", ctypes.c_int),
        ("prob", ctypes.POINTER(ctypes.c_float)),
        ("mask", ctypes.POINTER(ctypes.c_float)),
        ("objectness", ctypes.c_float),
        ("sort_class", ctypes.c_int),
    ]


def _answer(cfg: str, weights: str, given: str, answer: str, task: str, *numbers: str) -> None:
    library = ctypes.CDLL(str(LIBRARY))
    library.load_network.restype = ctypes.c_void_p
    library.network_predict.restype = ctypes.POINTER(ctypes.c_float)
    library.get_network_boxes.restype = ctypes.POINTER(_Detection)
    network = ctypes.c_void_p(library.load_network(cfg.encode(), weights.encode(), 0))
    library.set_batch_network(network, 1)
    arrays: dict[str, Any] = {"outputs": []}
    for number, picture in enumerate(np.load(given)):
        pixels = np.ascontiguousarray(picture, np.float32)
        output = library.network_predict(network, pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
        if task == "outputs":
            count = library.network_outputs(network)
            arrays["outputs"].append(np.ctypeslib.as_array(output, (count,)).copy())
        else:
            arrays |= _detections(library, network, number, picture.shape[1:], *map(float, numbers))
    np.savez(answer, **arrays)


def _detections(
    library: ctypes.CDLL,
    network: ctypes.c_void_p,
    number: int,
    shape: tuple[int, ...],
    classes: float,
    threshold: float,
    iou: float,
) -> dict[str, Any]:
    height, width = shape
    labels = range(int(classes))  # darknet leaves `_Detection.classes` unset
    count = ctypes.c_int(0)
    found = library.get_network_boxes(
        network, width, height, ctypes.c_float(threshold), ctypes.c_float(0.5), None, 1, ctypes.byref(count)
    )
    library.do_nms_sort(found, count, len(labels), ctypes.c_float(iou))
    kept = [(one, label) for one in found[: count.value] for label in labels if one.prob[label] > 0]
    return {
        f"boxes{number}": np.array(
            [[one.bbox.x, one.bbox.y, one.bbox.w, one.bbox.h] for one, _ in kept], np.float32
        ).reshape(-1, 4),
        f"classes{number}": np.array([label for _, label in kept], np.int64),
        f"scores{number}": np.array([one.prob[label] for one, label in kept], np.float32),
    }


if __name__ == "__main__":
    _answer(*sys.argv[1:])

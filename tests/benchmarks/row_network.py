"""Rows about the network: against peers, gated against dense, 8 bits against 32."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

from model.providers import usable_cores
from tests.benchmarks.bench import OURS, PEERS, Bench, milliseconds
from tests.benchmarks.files import PHOTO
from tests.benchmarks.table import Line

DARKNET_ROUNDS = 3
"""Its forward pass takes seconds."""

SAME_SCORES = 1e-4


def darknet(bench: Bench) -> list[Line]:
    """Compare whole requests with darknet."""
    cfg, weights, anchors = bench.files.headless("yolo9000")
    model = bench.files.gated()
    peer = {
        "cfg": str(cfg),
        "weights": str(weights),
        "anchors": anchors,
        "picture": str(PHOTO),
        "size": model.size,
        "threshold": model.threshold,
    }
    with ExitStack() as stack:
        contenders = {
            "darknet": bench.start(stack, f"{PEERS}:darknet", **peer),
            "float": bench.start(stack, f"{OURS}:whole", **model.arguments),
            "int8": bench.start(stack, f"{OURS}:whole", **bench.files.int8().arguments),
        }
        theirs, own = (contenders[name].outputs(bench.folder / f"{name}.npz") for name in ("darknet", "float"))
        rounds = bench.compare(contenders, DARKNET_ROUNDS)
    same = len(theirs["nodes"]) == len(own["nodes"]) and (theirs["nodes"] == own["nodes"]).all()
    note = f"{milliseconds(rounds, *contenders)}; labels of the float file {'the same' if same else 'DIFFER'}"
    what = "whole request, JPEG bytes to labels, against darknet"
    in_8_bits, in_float = (rounds.ratio("darknet", name) for name in ("int8", "float"))
    headline = (
        f"YOLO9000 itself, at {model.size} px: {in_8_bits:.0f} times as fast as darknet on the same cores in 8 bits, "
        f"{in_float:.0f} times in float with the same labels."
    )
    limit = rounds.median("darknet") / (contenders["float"].processor_seconds / usable_cores())
    return [
        Line.at_least("darknet", f"{what}, with the int8 file", 40, in_8_bits, note, headline=headline),
        Line.at_least("darknet", f"{what}, with the float file", 40, in_float, note, limit=limit),
    ]


def gated(bench: Bench) -> list[Line]:
    """Compare the gated graph with the dense one."""
    with ExitStack() as stack:
        models = {"dense": bench.files.dense(), "gated": bench.files.gated()}
        contenders = {name: bench.start(stack, f"{OURS}:bare", **model.arguments) for name, model in models.items()}
        dense, own = (one.outputs(bench.folder / f"{name}.npz") for name, one in contenders.items())
        rounds = bench.compare(contenders)
    boxes, difference = len(own["objectness"]), _difference(dense, own)
    same = difference <= SAME_SCORES
    agreement = f"outputs {'equal to' if same else 'DIFFER by'} {difference:.1g}"
    note = f"{milliseconds(rounds, 'dense', 'gated')}; {boxes} boxes, {agreement}"
    return [Line.at_least("gated", "gated graph against dense graph", 1.4, rounds.ratio("dense", "gated"), note)]


def int8(bench: Bench) -> list[Line]:
    """Compare the quantised file with the float one."""
    with ExitStack() as stack:
        models = {"fp32": bench.files.gated(), "int8": bench.files.int8()}
        contenders = {name: bench.start(stack, f"{OURS}:bare", **model.arguments) for name, model in models.items()}
        rounds = bench.compare(contenders)
    note = milliseconds(rounds, "fp32", "int8")
    return [Line.at_least("int8", "int8 file against fp32, both gated", 2, rounds.ratio("fp32", "int8"), note)]


def torch(bench: Bench) -> list[Line]:
    """Compare with PyTorch."""
    cfg, weights = bench.files.darknet("yolo9000")
    model = bench.files.gated()
    arguments = {"cfg": str(cfg), "weights": str(weights), "picture": str(PHOTO), "size": model.size}
    return _against(bench, "torch", "PyTorch eager", model.arguments, arguments, factory="torch_eager")


def openvino(bench: Bench) -> list[Line]:
    """Compare with OpenVINO on the same files."""
    lines = []
    for name, model in (("fp32", bench.files.gated()), ("int8", bench.files.int8())):
        what = f"OpenVINO, the same {name} file at the same precision"
        lines += _against(bench, "openvino", what, model.arguments, model.arguments, factory="openvino")
    return lines


def opencv(bench: Bench) -> list[Line]:
    """Compare with OpenCV's DNN on YOLOv2 VOC."""
    model, raw = bench.files.gated("yolov2-voc"), bench.files.raw("yolov2-voc")
    arguments = {"model": str(raw), "picture": str(PHOTO), "size": model.size}
    return _against(bench, "opencv", "OpenCV's DNN, yolov2-voc at 416", model.arguments, arguments, factory="opencv")


def _against(
    bench: Bench, row: str, peer: str, own: dict[str, Any], arguments: dict[str, Any], *, factory: str
) -> list[Line]:
    with ExitStack() as stack:
        contenders = {
            "theirs": bench.start(stack, f"{PEERS}:{factory}", **arguments),
            "ours": bench.start(stack, f"{OURS}:bare", **own),
        }
        rounds = bench.compare(contenders)
    return [
        Line.at_least(
            row, f"session.run against {peer}", 1, rounds.ratio("theirs", "ours"), milliseconds(rounds, *contenders)
        )
    ]


def _difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the largest difference of two graphs' outputs, as a part of the largest value of each output."""
    if any(one[name].shape != other[name].shape for name in one):
        return float("inf")
    return max(float(np.abs(one[name] - other[name]).max() / max(1, np.abs(one[name]).max())) for name in one)

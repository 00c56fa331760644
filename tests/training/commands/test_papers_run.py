"""The paper's run, rehearsed: training/configurations/yolo9000.yaml on made-up shards and two nodes of a process each.

What the file says is kept but for the places of the data, the start (random weights), the sizes (small ones; the model
is exported for 544 px), the batch and the 30 steps.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml

from model.runtime import OnnxDetector
from model.tree_files import packaged_tree
from tests.archives import tar
from tests.training.data.shards.shards import jpeg
from training.__main__ import main
from training.darknet.labels import known_labels
from training.weights.checkpoint import has_checkpoint, load_checkpoint, load_state

ROOT = Path(__file__).parents[3]
STEPS, BATCH = 30, 4
BOXED, A_TAR = 24, 2400
KILLED_AT = 8


def write_shards(folder: Path) -> None:
    """Write pictures with boxes of COCO's categories, every eighth held out, and one of each of the tree's concepts."""
    draw = np.random.default_rng(0)
    boxed, labelled = [], []
    for number in range(BOXED):
        corners = draw.integers(0, 30, (3, 2))
        wnids = draw.choice(known_labels("coco").wnids, 3)
        boxes = [
            {"bbox": [*corner, 30, 20], "category": str(wnid)}
            for corner, wnid in zip(corners.tolist(), wnids, strict=True)
        ]
        boxed += [
            (f"{number}.jpg", jpeg(number, (96, 72))),
            (f"{number}.json", json.dumps({"annotations": boxes}).encode()),
        ]
    for number, wnid in enumerate(packaged_tree().wnids):
        labelled.append((f"{wnid}/{number}.JPEG", jpeg(number, (24, 16))))
    for name, members in (("boxed", boxed), ("labelled", labelled)):
        (folder / name).mkdir(parents=True)
        for first in range(0, len(members), A_TAR):
            tar(folder / name / f"{first:05}.tar", members[first : first + A_TAR])


def configuration(folder: Path) -> Path:
    """Write the paper's configuration with what this rehearsal changes."""
    values = yaml.safe_load((ROOT / "training" / "configurations" / "yolo9000.yaml").read_text())
    del values["detection"], values["classification"], values["network"]["start"]
    values |= {
        "output": str(folder / "run"),
        "index": str(folder / "index"),
        "shards": [
            {"source": str(folder / "boxed" / "*.tar"), "held_out_every": 8},
            {"source": str(folder / "labelled" / "*.tar")},
        ],
        "sizes": [64, 96, 128],
        "validation": {"every": 10, "batch": 1},
    }
    values["optimizer"] = {**values["optimizer"], "epochs": None, "steps": STEPS, "batch": BATCH, "warmup": 10}
    values["loop"] = {"workers": 1, "device": "cpu", "checkpoint_every": 2.0}
    path = folder / "yolo9000.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start_nodes(log: Path, *arguments: object) -> list[subprocess.Popen[str]]:
    """Start two nodes that meet on loopback, as on two machines."""
    port = free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
    nodes = []
    for node in range(2):
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
            *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "rehearsal"),
            *("--rdzv-conf", f"is_host={node == 0}", "--local-addr", "127.0.0.1"),
            *("-m", "training", "train", *map(str, arguments)),
        ]
        with log.with_suffix(f".{node}").open("w") as output:
            nodes.append(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
    return nodes


def kill(nodes: list[subprocess.Popen[str]], argument: Path) -> None:
    """Kill every process that was called with an argument: torchrun's workers outlive a torchrun that is killed."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if os.fsencode(argument) in (folder / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
    for node in nodes:
        node.wait()


@pytest.mark.slow
def test_the_papers_run(tmp_path: Path) -> None:
    write_shards(tmp_path)
    sets = [str(tmp_path / name / "*.tar") for name in ("boxed", "labelled")]
    assert main(["index", *sets, "--output", str(tmp_path / "index"), "--processes", "2"]) == 0
    path, run = configuration(tmp_path), tmp_path / "run"

    nodes = start_nodes(tmp_path / "killed", "--configuration", path)
    try:
        deadline = time.monotonic() + 300
        while not (has_checkpoint(run) and load_state(run)["step"] >= KILLED_AT):
            assert all(node.poll() is None for node in nodes), (tmp_path / "killed.0").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        kill(nodes, path)
    before = load_checkpoint(run).state  # whole, though its writer was killed
    assert KILLED_AT <= before["step"] < STEPS
    assert len(before["trained"]) == len(packaged_tree())

    nodes = start_nodes(tmp_path / "resumed", "--configuration", path, "--resume")
    assert [node.wait(timeout=300) for node in nodes] == [0, 0], (tmp_path / "resumed.0").read_text()
    assert load_checkpoint(run).state["step"] == STEPS
    scored = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert {one["step"] for one in scored if "validation/ap50" in one} == {10, 20, 30}

    model = tmp_path / "yolo9000.onnx"
    assert main(["export", "--run", str(run), "--sizes", "544", "--output", str(model), "--checkpoint", "last"]) == 0
    detector = OnnxDetector.load(model)
    assert detector.metadata.sizes == (544,)
    assert len(detector.tree) == len(packaged_tree())
    (found,) = detector.run(np.zeros((1, 544, 544, 3), np.uint8), 0.0)
    assert found.class_logits.shape[1] == len(packaged_tree())

"""How much memory the region loss of YOLO9000 takes: 9,418 nodes, 3 anchors, 544 px, so 867 boxes a picture.

    python -m tests.benchmarks.bench_region_loss [--batch 16]

Each case runs in a process of its own, on features that are given, with the whole head of 28,269 rows. Counted is what
the loss and its backward pass need beyond what was there before (peak resident memory, Linux). Three times the head's
weights (116 MB each) are part of that whatever the loss: their gradient, of box rows and class rows, and its sum.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import torch

from model.tree_files import packaged_tree
from training.losses.hierarchical import HierarchicalSoftmax
from training.losses.region import RegionLoss, RegionLossConfiguration
from training.networks.backbones.darknet19 import CHANNELS
from training.networks.parts.detector import Prediction
from training.networks.yolo9000 import ANCHORS, CLASSES, SIZE, YOLO9000
from training.targets import Targets

CELLS = SIZE // 32


class Case(NamedTuple):
    """Boxes on each picture with boxes, and how many of the batch have a label alone; candidates for their boxes."""

    boxes: int
    labelled: int
    candidates: int


CASES = (Case(4, 0, 0), Case(30, 0, 0), Case(8, 12, 0), Case(8, 12, 32), Case(0, 16, 0))


def peak() -> int:
    """Return this process's peak resident memory since it was last reset, bytes."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024


def targets_of(case: Case, batch: int) -> Targets:
    """Return random targets, the pictures with a label alone last."""
    generator = torch.Generator().manual_seed(0)
    boxed = batch - case.labelled
    count = boxed * case.boxes
    weight = torch.ones(batch)
    weight[boxed:] = 0
    return Targets(
        boxes=torch.rand(count, 4, generator=generator) * 0.5 + 0.2,
        nodes=torch.randint(CLASSES, (count,), generator=generator),
        picture=torch.arange(boxed).repeat_interleave(case.boxes),
        confidence=torch.ones(count),
        negative_weight=weight,
        class_only_pictures=torch.arange(boxed, batch),
        class_only_nodes=torch.randint(CLASSES, (case.labelled,), generator=generator),
    )


def measure(case: Case, batch: int) -> int:
    """Return the bytes that a case takes; to be called once in a process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.device("meta"):
        detector = YOLO9000()
    head = type(detector.head)(CHANNELS, len(ANCHORS), CLASSES)
    detector.head = head
    detector.anchors = torch.tensor(ANCHORS)
    loss = RegionLoss(
        HierarchicalSoftmax(packaged_tree()), RegionLossConfiguration(class_only_candidates=case.candidates)
    )
    features = torch.randn(batch, CHANNELS, CELLS, CELLS, requires_grad=True)
    targets = targets_of(case, batch)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak()
    loss(detector, [Prediction(head(features), (features,))], targets, 0).total().backward()
    return peak() - before


def main() -> None:
    """Run every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16, help="pictures (default: 16)")
    parser.add_argument("--case", type=int, help="only the case of this number, in this process")
    options = parser.parse_args()
    if options.case is not None:
        print(measure(CASES[options.case], options.batch))
        return
    for number, case in enumerate(CASES):
        command = [sys.executable, "-m", "tests.benchmarks.bench_region_loss", "--case", str(number)]
        command += ["--batch", str(options.batch)]
        used = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"{options.batch - case.labelled:3} pictures with {case.boxes:2} boxes, {case.labelled:2} with a label, "
            f"candidates {case.candidates or 'all':>3}: {used / 1e6:6.0f} MB"
        )


if __name__ == "__main__":
    main()

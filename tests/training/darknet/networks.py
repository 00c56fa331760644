"""Networks of darknet's cfgs with random weights, as files."""

import re
from pathlib import Path

import torch

from tests.training.darknet.libdarknet import SHARE
from training.darknet.cfg import parse_cfg
from training.darknet.network import build_network
from training.darknet.random_weights import random_weights
from training.darknet.weights import Header, write_weights

DETECTORS = ("yolo9000", "yolov2", "yolov2-voc", "yolov2-tiny", "yolov2-tiny-voc")
CLASSIFIERS = ("darknet19", "darknet19_448", "darknet9000")

TINY_DETECTOR = """
[net]
width=64
height=64
channels=3

[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear

[region]
anchors=1,2, 3.5,4
classes=2
num=2
softmax=1
"""

TINY_CLASSIFIER = """
[net]
width=64
height=64
channels=3

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters=3
size=1
stride=1
pad=1
activation=linear

[avgpool]

[softmax]
groups=1
"""


def darknets_cfg(name: str, size: int) -> str:
    """Return the text of one of darknet's cfgs, with another input size."""
    text = (SHARE / "cfg" / f"{name}.cfg").read_text()
    return re.sub(r"(?m)^(width|height)\s*=.*$", rf"\1={size}", text)


def without_end(cfg: str) -> str:
    """Return a cfg without its last layers that are not linear, so that darknet gives out what they are given."""
    return re.split(r"(?m)^\[(?:region|softmax)\]", cfg)[0]


def write_network(folder: Path, cfg: str, name: str = "network", header: Header | None = None) -> tuple[Path, Path]:
    """Write a cfg and a file of random weights for it; return their paths."""
    torch.manual_seed(0)
    network = build_network(parse_cfg(cfg))
    random_weights(network)
    paths = folder / f"{name}.cfg", folder / f"{name}.weights"
    paths[0].write_text(cfg)
    write_weights(network, paths[1], header or Header(seen=12_345_678_901))
    return paths

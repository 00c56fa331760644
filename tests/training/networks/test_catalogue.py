"""Every detector that can be trained is what its name says."""

from typing import get_args

import pytest
import torch

from training.darknet.network import build_network
from training.darknet.presets import PRESETS
from training.darknet.weights import parts
from training.networks.catalogue import (
    ANCHORS,
    BACKBONE,
    LITE,
    Design,
    DetectorName,
    build_detector,
)
from training.networks.parts.detector import Detector

DARKNETS = [name for name in get_args(DetectorName) if name in PRESETS]


@pytest.mark.parametrize("name", DARKNETS)
def test_darknets_networks_have_its_weights_files_layout_and_anchors(name: DetectorName) -> None:
    with torch.device("meta"):
        theirs = build_network(PRESETS[name].cfg()[0])
        assert isinstance(theirs, Detector)
        ours = build_detector(Design(name, ANCHORS[name]), theirs.classes)
    assert [(part.name, part.tensor.shape) for part in parts(ours)] == [
        (part.name, part.tensor.shape) for part in parts(theirs)
    ]
    assert theirs.anchors.shape == (len(ANCHORS[name]), 2)


@pytest.mark.parametrize("name", get_args(DetectorName))
def test_each_has_a_backbone_and_its_anchors(name: DetectorName) -> None:
    anchors = ANCHORS[name] if name == LITE else ((1, 2), (3, 4.5))
    made = build_detector(Design(name, anchors), 7)
    assert made.anchors.tolist() == [list(anchor) for anchor in anchors]
    assert made.classes == 7
    assert any(key.startswith(BACKBONE) for key in made.state_dict())
    assert made.multiple == 32

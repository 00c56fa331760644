"""Weights files as what a detector starts from."""

from pathlib import Path

import pytest
import torch

from training.darknet.errors import InvalidWeightsError
from training.darknet.labels import known_labels
from training.darknet.starting_weights import read_darknet_start
from training.darknet.weights import Header, write_weights
from training.networks.catalogue import Design
from training.networks.tiny import TinyClassifier, YOLOv2Tiny
from training.networks.yolov2 import COCO_ANCHORS

TINY = Design("yolov2-tiny", COCO_ANCHORS)


def made(classes: int) -> YOLOv2Tiny:
    torch.manual_seed(classes)
    network = YOLOv2Tiny(classes=classes)
    for name, value in network.named_buffers():
        if name.endswith("running_mean"):
            value.normal_()
    return network


@pytest.mark.parametrize("classes", [80, 3])
def test_a_whole_detector(tmp_path: Path, classes: int) -> None:
    network, path = made(classes), tmp_path / "a.weights"
    write_weights(network, path, Header())
    weights, wnids = read_darknet_start(path, TINY)
    for name, value in network.state_dict().items():
        assert torch.equal(weights[name], value), name
    assert wnids == (known_labels("coco").wnids if classes == 80 else ())


def test_a_classifier(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, path = TinyClassifier(17), tmp_path / "a.weights"
    write_weights(network, path, Header(0, 1, 0))
    weights, wnids = read_darknet_start(path, TINY)
    expected = {name: value for name, value in network.state_dict().items() if name.startswith("backbone.")}
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert wnids == ()


@pytest.mark.parametrize("layers", [1, 3, 7, 8])
def test_the_first_layers(tmp_path: Path, layers: int) -> None:
    network, path = made(3), tmp_path / "a.conv.15"
    write_weights(network, path, Header())
    modules = [module for module in network.modules() if hasattr(module, "normalisation")]
    names = [
        f"{name}.{key}"
        for name, module in network.named_modules()
        if module in modules[:layers]
        for key in module.state_dict()
        if not key.endswith("num_batches_tracked")
    ]
    numbers = sum(network.state_dict()[name].numel() for name in names)
    path.write_bytes(path.read_bytes()[: 20 + 4 * numbers])
    weights, wnids = read_darknet_start(path, TINY)
    assert sorted(weights) == sorted(names)
    assert all(torch.equal(weights[name], network.state_dict()[name]) for name in names)
    assert wnids == ()


def test_what_is_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "a.weights"
    write_weights(made(3), path, Header())
    content = path.read_bytes()
    for cut in (content[:-8], content[: 20 + 4 * 100]):
        path.write_bytes(cut)
        with pytest.raises(InvalidWeightsError, match="of another network, or cut short"):
            read_darknet_start(path, TINY)
    path.write_bytes(content[:7])
    with pytest.raises(InvalidWeightsError, match="ends in the header"):
        read_darknet_start(path, TINY)
    with pytest.raises(InvalidWeightsError, match="there is no such file"):
        read_darknet_start(tmp_path / "none.weights", TINY)
    with pytest.raises(InvalidWeightsError, match="darknet has no yolov2-efficientnet"):
        read_darknet_start(path, Design("yolov2-efficientnet", COCO_ANCHORS))

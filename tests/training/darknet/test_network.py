import re

import pytest
import torch

from tests.training.darknet.networks import CLASSIFIERS, DETECTORS, TINY_CLASSIFIER, TINY_DETECTOR
from tests.training.networks.darknet_cfg import FOLDER, needs_darknet
from training.darknet.cfg import parse_cfg, read_cfg
from training.darknet.errors import InvalidCfgError
from training.darknet.network import DarknetClassifier, DarknetDetector, build_network
from training.darknet.presets import PRESETS

PASSTHROUGH = """
[net]
width=64
height=64
channels=3
[convolutional]
filters=4
activation=leaky
[maxpool]
stride=2
[route]
layers=-2
[reorg]
stride=2
[route]
layers=-1,-3
[convolutional]
filters=7
activation=linear
[region]
anchors=1,1
classes=2
num=1
softmax=1
"""


@needs_darknet
@pytest.mark.parametrize("name", [*DETECTORS, *CLASSIFIERS])
def test_presets_are_the_networks_of_darknets_cfgs(name: str) -> None:
    theirs, _ = read_cfg(FOLDER / f"{name}.cfg")
    ours, _ = PRESETS[name].cfg()
    with torch.device("meta"):
        expected, found = build_network(theirs), build_network(ours)

    assert str(found) == str(expected)
    assert (ours.input_size(), found.classes, found.stride) == (theirs.input_size(), expected.classes, 32)
    last, their_last = ([one for one in cfg.layers if one.kind != "cost"][-1] for cfg in (ours, theirs))
    assert last.kind == their_last.kind
    assert last.numbers("anchors") == their_last.numbers("anchors")
    assert ("tree" in last.options) == ("tree" in their_last.options)


def test_a_detector_has_what_its_region_says() -> None:
    detector = build_network(parse_cfg(TINY_DETECTOR))

    assert isinstance(detector, DarknetDetector)
    assert (detector.classes, detector.stride) == (2, 2)
    torch.testing.assert_close(detector.anchors, torch.tensor([[1, 2], [3.5, 4]]))
    assert detector(torch.zeros(1, 3, 64, 64)).boxes.shape == (1, 2, 32, 32, 5)


def test_a_classifier_gives_the_mean_of_its_cells() -> None:
    classifier = build_network(parse_cfg(TINY_CLASSIFIER))

    assert isinstance(classifier, DarknetClassifier)
    pictures = torch.rand(2, 3, 64, 64) * 255
    with torch.no_grad():
        grid = classifier.eval().body.layers[0](pictures / 255)
        expected = classifier.body.layers[1](grid).mean((2, 3))
        torch.testing.assert_close(classifier(pictures), expected)


def test_a_route_reads_the_layers_it_names() -> None:
    detector = build_network(parse_cfg(PASSTHROUGH))
    assert isinstance(detector, DarknetDetector)
    picture = torch.rand(1, 3, 8, 8)

    with torch.no_grad():
        features = detector.eval().trunk(picture)
        first = detector.body.layers[0](picture)

    assert features.shape == (1, 4 * 4 + 4, 4, 4)
    torch.testing.assert_close(features[:, 16:], torch.nn.functional.max_pool2d(first, 2))
    assert features[:, :16].flatten().sort()[0].tolist() == first.flatten().sort()[0].tolist()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[region]", "[yolo]", "neither a [region]"),
        ("filters=14", "filters=15", "filters=15, but [region] needs 14"),
        ("classes=2", "classes=3", "filters=14, but [region] needs 16"),
        ("num=2", "num=3", "num=3 needs 6 positive numbers"),
        ("anchors=1,2, 3.5,4", "anchors=1,2, 3.5,-4", "num=2 needs 4 positive numbers"),
        ("anchors=1,2, 3.5,4", "anchors=1,2, 3.5,nan", "num=2 needs 4 positive numbers"),
        ("softmax=1", "softmax=0", "only classes with softmax=1"),
        ("softmax=1", "softmax=1\ncoords=5", "only coords=4"),
        ("softmax=1", "softmax=1\nbackground=1", "background=0"),
        ("softmax=1", "softmax=1\n[cost]", "comes after [region]"),
        ("activation=linear", "activation=leaky", "needs a [convolutional] before it"),
        ("width=64\nheight=64", "width=65\nheight=65", "is not a multiple of 2"),
        ("filters=8", "filters=1000000", "are too many"),
    ],
)
def test_a_detector_that_cannot_be_imported_is_refused(old: str, new: str, message: str) -> None:
    with torch.device("meta"), pytest.raises(InvalidCfgError, match=re.escape(message)):
        build_network(parse_cfg(TINY_DETECTOR.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[avgpool]", "[maxpool]", "needs an [avgpool]"),
        ("groups=1", "groups=2", "only groups=1"),
        ("groups=1", "temperature=3", "temperature=1"),
        ("groups=1", "groups=1\n[dropout]", "only [cost] may stand"),
    ],
)
def test_a_classifier_that_cannot_be_imported_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidCfgError, match=re.escape(message)):
        build_network(parse_cfg(TINY_CLASSIFIER.replace(old, new)))


def test_a_cfg_of_endless_layers_is_refused() -> None:
    with pytest.raises(InvalidCfgError, match="has 1004 layers"):
        build_network(parse_cfg(TINY_DETECTOR.replace("[region]", "[maxpool]\n" * 1000 + "[region]")))

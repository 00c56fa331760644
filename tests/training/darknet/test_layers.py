"""Single layers; that whole networks of them compute what darknet does, test_proof.py shows."""

import logging

import pytest
import torch

from training.darknet.cfg import Section
from training.darknet.errors import InvalidCfgError
from training.darknet.layers import MaxPool, Shape, build_layer

BEFORE = (Shape(3, 1), Shape(16, 1), Shape(32, 2), Shape(64, 4))


def built(kind: str, **options: object) -> tuple[torch.nn.Module, Shape]:
    return build_layer(Section(kind, 5, {key: str(value) for key, value in options.items()}), BEFORE)


@pytest.mark.parametrize(
    ("kind", "options", "shape"),
    [
        ("convolutional", {"filters": 8, "size": 3, "pad": 1, "activation": "leaky"}, Shape(8, 4)),
        ("convolutional", {"filters": 8, "size": 3, "stride": 2, "pad": 1, "activation": "linear"}, Shape(8, 8)),
        ("convolutional", {"filters": 8, "activation": "linear"}, Shape(8, 4)),
        ("maxpool", {"size": 2, "stride": 2}, Shape(64, 8)),
        ("maxpool", {"stride": 2}, Shape(64, 8)),
        ("maxpool", {"size": 2, "stride": 1}, Shape(64, 4)),
        ("route", {"layers": -2}, Shape(32, 2)),
        ("route", {"layers": "-1, 2"}, Shape(128, 4)),
        ("reorg", {"stride": 2}, Shape(256, 8)),
        ("avgpool", {}, Shape(64, 4)),
    ],
)
def test_a_section_becomes_a_layer_of_its_shape(kind: str, options: dict[str, object], shape: Shape) -> None:
    layer, found = built(kind, **options)

    assert found == shape
    if kind == "route":
        return
    output = layer(torch.zeros(1, 64, 16, 16))
    side = 1 if kind == "avgpool" else 16 * BEFORE[-1].stride // shape.stride
    assert output.shape == (1, shape.channels, side, side)


def test_a_maxpool_of_stride_1_looks_to_the_right_and_below() -> None:
    grid = torch.tensor([[[[-1.0, -2, -3], [-4, -5, -6], [-9, -8, -7]]]])

    assert MaxPool(2, 1, 1)(grid)[0, 0].tolist() == [[-1, -2, -3], [-4, -5, -6], [-8, -7, -7]]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("dropout", {}, "layers of this kind cannot be imported"),
        ("shortcut", {"from": -3}, "layers of this kind cannot be imported"),
        ("convolutional", {}, "activation=logistic is not one of"),
        ("convolutional", {"activation": "mish"}, "activation=mish is not one of"),
        ("convolutional", {"size": 3, "activation": "leaky"}, "changes the grid's size"),
        ("convolutional", {"size": 2, "pad": 1, "activation": "leaky"}, "changes the grid's size"),
        ("convolutional", {"filters": 0, "activation": "leaky"}, "filters=0 must be"),
        ("convolutional", {"filters": 10**12, "activation": "leaky"}, "filters=1000000000000 must be"),
        ("convolutional", {"groups": 2, "activation": "leaky"}, "only groups=1"),
        ("convolutional", {"xnor": 1, "activation": "leaky"}, "only xnor=0"),
        ("convolutional", {"dontloadscales": 1, "activation": "leaky"}, "only dontloadscales=0"),
        ("maxpool", {"size": 3, "stride": 1, "padding": 0}, "do not fit the grid"),
        ("maxpool", {"size": 2, "stride": 0}, "stride=0 must be"),
        ("route", {}, "needs layers="),
        ("route", {"layers": -4}, "no layer -4"),
        ("route", {"layers": 3}, "no layer 3"),
        ("route", {"layers": "-1,-2"}, "different sizes"),
        ("reorg", {"stride": 3}, "cannot be split in 9"),
        ("reorg", {"stride": 2, "reverse": 1}, "only reverse=0"),
    ],
)
def test_what_there_is_not_is_refused_with_its_line(kind: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidCfgError, match=rf"\[{kind}\] at line 5: .*{message}"):
        built(kind, **options)


def test_an_option_that_is_not_known_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        built("maxpool", stride=2, antialiasing=1)

    assert "[maxpool] at line 5: the option antialiasing is not known" in caplog.text

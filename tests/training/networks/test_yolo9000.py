"""YOLO9000 layer by layer, and what it answers."""

import pytest
import torch

from tests.training.networks.backbones.test_darknet19 import LAYERS as DARKNET19_LAYERS
from tests.training.networks.darknet_cfg import needs_darknet, read_anchors, read_layers, run_layers, table
from training.networks.parts.detector import BoxIndex
from training.networks.parts.layers import darknet_convolutions
from training.networks.yolo9000 import ANCHORS, YOLO9000


def on_meta() -> YOLO9000:
    with torch.device("meta"):
        return YOLO9000()


def test_its_layers_are_darknet19s_18_and_the_head() -> None:
    layers = run_layers(on_meta(), 224)

    assert layers == table(DARKNET19_LAYERS)[:-1] + table("1024 28269 1 7 linear")
    assert sum(layer.kind == "convolutional" for layer in layers) == 19


@needs_darknet
@pytest.mark.parametrize("size", [320, 544])
def test_its_layers_are_those_of_the_cfg(size: int) -> None:
    assert run_layers(on_meta(), size) == read_layers("yolo9000", size)


@needs_darknet
def test_its_anchors_are_those_of_the_cfg() -> None:
    assert read_anchors("yolo9000") == [list(anchor) for anchor in ANCHORS]


def test_its_convolutions_are_registered_in_the_order_they_run() -> None:
    network = on_meta()
    registered = [len(next(convolution.parameters())) for convolution in darknet_convolutions(network)]

    ran = [layer.channels_out for layer in run_layers(network, 64) if layer.kind == "convolutional"]
    assert registered == ran


@pytest.mark.parametrize("size", [32, 320, 544, 608])
def test_shapes_at_several_sizes(size: int) -> None:
    network = on_meta()
    pictures = torch.empty(2, 3, size, size, device="meta")
    side, prediction = size // 32, network(pictures)

    assert prediction.boxes.shape == (2, 3, side, side, 5)
    assert [feature.shape for feature in prediction.features] == [(2, 1024, side, side)]
    assert network.dense(pictures).shape == (2, 28269, side, side)


def test_asked_for_rows_equal_the_dense_ones_and_every_parameter_trains() -> None:
    torch.manual_seed(0)
    network = YOLO9000(classes=11)
    torch.testing.assert_close(network.anchors, torch.tensor(ANCHORS))
    pictures = torch.rand(2, 3, 64, 64) * 255
    index = BoxIndex(*(torch.tensor(places) for places in ([1, 0, 0, 1], [2, 0, 1, 2], [1, 0, 1, 0], [1, 1, 0, 0])))
    with torch.no_grad():
        prediction = network.eval()(pictures)
        dense = torch.unflatten(network.dense(pictures), 1, (3, 16))
        logits = network.class_logits(prediction.features, index)
    expected = dense[index.picture, index.anchor, 5:, index.row, index.column]
    torch.testing.assert_close(prediction.boxes, dense[:, :, :5].permute(0, 1, 3, 4, 2), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)

    prediction = network.train()(pictures)
    logits = network.class_logits(prediction.features, index)
    (prediction.boxes.square().mean() + logits.square().mean()).backward()
    missing = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not missing

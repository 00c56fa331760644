"""YOLOv2 layer by layer, its passthrough, and what it answers."""

import pytest
import torch
from torch import Tensor

from tests.training.networks.backbones.test_darknet19 import LAYERS as DARKNET19_LAYERS
from tests.training.networks.darknet_cfg import (
    needs_darknet,
    read_anchors,
    read_layers,
    read_sections,
    run_layers,
    table,
)
from training.networks.backbones.darknet19 import Darknet19Backbone
from training.networks.parts.detector import BoxIndex
from training.networks.parts.layers import darknet_convolutions, reorg
from training.networks.yolov2 import COCO_ANCHORS, VOC_ANCHORS, YOLOv2, yolov2_coco, yolov2_voc

# After Darknet-19's 18 convolutions, at 224 px: two more, the squeezed features of stride 16, both, the head.
LAYERS_ABOVE = """
1024 1024 3 7
1024 1024 3 7
512 64 1 14
1280 1024 3 7
1024 125 1 7 linear
"""
VARIANTS = {"yolov2-voc": yolov2_voc, "yolov2": yolov2_coco}
variants = pytest.mark.parametrize("name", VARIANTS)


def on_meta(name: str) -> YOLOv2:
    with torch.device("meta"):
        return VARIANTS[name]()


@pytest.fixture(scope="module")
def network() -> YOLOv2:
    torch.manual_seed(0)
    return yolov2_voc(classes=3)


def test_its_layers_are_darknet19s_and_five_more() -> None:
    assert run_layers(on_meta("yolov2-voc"), 224) == table(DARKNET19_LAYERS)[:-1] + table(LAYERS_ABOVE)


def test_the_coco_variant_differs_in_its_classes_alone() -> None:
    voc, coco = run_layers(on_meta("yolov2-voc"), 416), run_layers(on_meta("yolov2"), 416)

    assert coco[:-1] == voc[:-1]
    assert (voc[-1].channels_out, coco[-1].channels_out) == (5 * (5 + 20), 5 * (5 + 80))


@needs_darknet
@variants
@pytest.mark.parametrize("size", [416, 608])
def test_its_layers_are_those_of_the_cfg(name: str, size: int) -> None:
    assert run_layers(on_meta(name), size) == read_layers(name, size)


@needs_darknet
@variants
def test_its_convolutions_are_registered_in_the_order_of_the_cfg(name: str) -> None:
    filters = [int(options["filters"]) for kind, options in read_sections(name) if kind == "convolutional"]
    registered = []
    for convolution in darknet_convolutions(on_meta(name)):
        weight, *_ = convolution.parameters()
        registered.append(len(weight))

    assert registered == filters


@needs_darknet
def test_its_anchors_are_those_of_the_cfg() -> None:
    assert read_anchors("yolov2-voc") == [list(anchor) for anchor in VOC_ANCHORS]
    assert read_anchors("yolov2") == [list(anchor) for anchor in COCO_ANCHORS]


@variants
@pytest.mark.parametrize("size", [32, 320, 416, 608])
def test_shapes_at_several_sizes(name: str, size: int) -> None:
    network = on_meta(name)
    pictures = torch.empty(2, 3, size, size, device="meta")
    side, prediction = size // 32, network(pictures)

    assert prediction.boxes.shape == (2, 5, side, side, 5)
    assert [feature.shape for feature in prediction.features] == [(2, 1024, side, side)]
    assert network.dense(pictures).shape == (2, 5 * (5 + network.classes), side, side)


def test_its_anchors_are_held_in_cells(network: YOLOv2) -> None:
    torch.testing.assert_close(network.anchors, torch.tensor(VOC_ANCHORS))
    assert (network.classes, network.stride) == (3, 32)


def test_the_passthrough_comes_first_and_in_darknets_order(network: YOLOv2) -> None:
    assert network.squeeze is not None
    seen: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(
            lambda _module, inputs, output, name=name: seen.update({name: output, f"{name} input": inputs[0]})
        )
        for name, module in (
            ("fine", network.backbone.fine),
            ("deepened", network.deepened),
            ("squeeze", network.squeeze),
            ("merge", network.merge),
        )
    ]
    with torch.no_grad():
        network.eval()(torch.rand(1, 3, 64, 64) * 255)
    for handle in handles:
        handle.remove()

    assert torch.equal(seen["squeeze input"], seen["fine"])
    assert torch.equal(seen["merge input"][:, :256], reorg(seen["squeeze"]))
    assert torch.equal(seen["merge input"][:, 256:], seen["deepened"])


def test_asked_for_rows_equal_the_dense_ones(network: YOLOv2) -> None:
    pictures = torch.rand(2, 3, 64, 96) * 255
    index = BoxIndex(*(torch.tensor(places) for places in ([1, 0, 1], [4, 0, 2], [1, 0, 0], [2, 1, 0])))
    with torch.no_grad():
        prediction = network.eval()(pictures)
        logits = network.class_logits(prediction.features, index)
        dense = torch.unflatten(network.dense(pictures), 1, (5, 8))

    torch.testing.assert_close(prediction.boxes, dense[:, :, :5].permute(0, 1, 3, 4, 2), rtol=1e-5, atol=1e-6)
    expected = dense[index.picture, index.anchor, 5:, index.row, index.column]
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)


def test_it_takes_values_0_to_255(network: YOLOv2) -> None:
    scaled = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        features = network.eval().trunk(scaled)
        (given,) = network(scaled * 255).features

    torch.testing.assert_close(given, features, rtol=1e-3, atol=1e-3)


def test_it_trains_every_parameter(network: YOLOv2) -> None:
    prediction = network.train()(torch.rand(2, 3, 64, 64) * 255)
    every_anchor = BoxIndex(torch.zeros(5).long(), torch.arange(5), torch.ones(5).long(), torch.zeros(5).long())
    logits = network.class_logits(prediction.features, every_anchor)
    (prediction.boxes.square().mean() + logits.square().mean()).backward()

    missing = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    network.zero_grad(set_to_none=True)
    assert not missing


def test_it_starts_from_a_classifiers_backbone(network: YOLOv2) -> None:
    with torch.device("meta"):
        expected = Darknet19Backbone()

    assert {name: value.shape for name, value in network.backbone.state_dict().items()} == {
        name: value.shape for name, value in expected.state_dict().items()
    }

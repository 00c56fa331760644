"""yolov2-tiny layer by layer against darknet's cfgs."""

import pytest
import torch
from torch import nn

from training.darknet.network import DarknetDetector, build_network
from training.darknet.presets import PRESETS
from training.darknet.weights import parts
from training.networks.tiny import COCO_TOP, VOC_ANCHORS, VOC_TOP, StayingMaxPool, TinyClassifier, YOLOv2Tiny
from training.networks.yolov2 import COCO_ANCHORS

VARIANTS = {"yolov2-tiny": (COCO_ANCHORS, 80, COCO_TOP), "yolov2-tiny-voc": (VOC_ANCHORS, 20, VOC_TOP)}


@pytest.mark.parametrize("name", VARIANTS)
def test_it_computes_what_the_cfgs_network_does(name: str) -> None:
    torch.manual_seed(0)
    ours = YOLOv2Tiny(*VARIANTS[name]).eval()
    theirs = build_network(PRESETS[name].cfg()[0]).eval()
    assert isinstance(theirs, DarknetDetector)
    assert torch.equal(ours.anchors, theirs.anchors)
    with torch.no_grad():
        for own, other in zip(parts(ours), parts(theirs), strict=True):
            assert own.name == other.name
            if own.name == "rolling variances":
                own.tensor.uniform_(0.5, 2)
            other.tensor.copy_(own.tensor)
        pictures = torch.rand(1, 3, 64, 96) * 255
        torch.testing.assert_close(ours.dense(pictures), theirs.dense(pictures))


def test_a_maxpool_that_keeps_the_grid() -> None:
    grid = torch.arange(6.0).view(1, 1, 2, 3) - 10
    assert StayingMaxPool()(grid).tolist() == [[[[-6, -5, -5], [-6, -5, -5]]]]


def test_the_classifier_is_the_mean_of_its_cells() -> None:
    torch.manual_seed(0)
    network = TinyClassifier(3).eval()
    pictures = torch.rand(2, 3, 64, 64) * 255
    with torch.no_grad():
        cells = nn.functional.conv2d(
            network.backbone(pictures / 255), network.class_layer.weight, network.class_layer.bias
        )
        torch.testing.assert_close(network(pictures), cells.flatten(2).mean(2))

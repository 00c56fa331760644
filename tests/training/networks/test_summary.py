"""Parameters and FLOP, against the networks' published sizes and against counting by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.training.networks.darknet_cfg import needs_darknet, read_layers
from training.networks.backbones.darknet19 import Darknet19
from training.networks.parts.detector import BoxIndex, Detector, Prediction
from training.networks.summary import summarise
from training.networks.yolo9000 import YOLO9000
from training.networks.yolov2 import yolov2_coco, yolov2_voc


# The millions are all the numbers of a darknet weights file, so with the statistics of batch normalisation.
@pytest.mark.parametrize(
    ("make", "size", "parameters", "statistics", "millions", "gflop"),
    [
        (Darknet19, 224, 20_842_376, 14_400, 20.86, 5.58),
        (yolov2_voc, 416, 50_655_389, 20_672, 50.68, 29.4),
        (YOLO9000, 544, 48_793_101, 14_400, 48.81, 49.1),
    ],
    ids=["darknet19", "yolov2-voc", "yolo9000"],
)
def test_published_sizes(
    make: Callable[[], nn.Module], size: int, parameters: int, statistics: int, millions: float, gflop: float
) -> None:
    with torch.device("meta"):
        summary = summarise(make(), size)

    assert (summary.parameters, summary.statistics) == (parameters, statistics)
    assert (summary.parameters + summary.statistics) / 1e6 == pytest.approx(millions, abs=0.005)
    assert summary.dense_flop / 1e9 == pytest.approx(gflop, abs=0.05)


def test_the_class_layer_is_a_third_of_yolo9000() -> None:
    with torch.device("meta"):
        summary = summarise(YOLO9000(), 544)

    assert summary.boxes == 3 * 17 * 17
    assert summary.class_flop_per_box == 2 * 1024 * 9418
    assert summary.class_flop / 1e9 == pytest.approx(16.7, abs=0.05)
    assert summary.class_flop / summary.dense_flop == pytest.approx(0.34, abs=0.005)
    assert summary.forward_flop + summary.class_flop == summary.dense_flop


@needs_darknet
@pytest.mark.parametrize(
    ("name", "make", "size"),
    [
        ("darknet19", Darknet19, 256),
        ("yolov2-voc", yolov2_voc, 416),
        ("yolov2", yolov2_coco, 608),
        ("yolo9000", YOLO9000, 544),
    ],
)
def test_flop_of_the_cfg(name: str, make: Callable[[], nn.Module], size: int) -> None:
    with torch.device("meta"):
        summary = summarise(make(), size)

    assert summary.dense_flop == sum(layer.flop for layer in read_layers(name, size))


def test_a_small_network_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 1, groups=2))
    summary = summarise(network, 10)

    assert summary.parameters == (3 * 9 + 1) * 4 + 2 * 4 + (2 + 1) * 8
    assert summary.statistics == 2 * 4
    assert summary.forward_flop == 2 * 5 * 5 * (3 * 9 * 4 + 2 * 8)
    assert (summary.boxes, summary.class_flop, summary.dense_flop) == (0, 0, summary.forward_flop)


class Plain(Detector):
    """A detector with a class layer of its own."""

    def __init__(self) -> None:
        super().__init__(torch.ones(2, 2), classes=7)
        self.box = nn.Conv2d(3, 10, 32, stride=32)
        self.name = nn.Linear(10, 7)

    def forward(self, pictures: Tensor) -> Prediction:
        features = self.box(pictures)
        return Prediction(features.unflatten(1, (2, 5)).permute(0, 1, 3, 4, 2), (features,))

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        logits: Tensor = self.name(features[0].permute(0, 2, 3, 1)[index.picture, index.row, index.column])
        return logits


def test_a_detector_with_another_class_layer() -> None:
    summary = summarise(Plain(), 64)

    assert summary.boxes == 2 * 2 * 2
    assert summary.class_flop_per_box == 2 * 10 * 7
    assert summary.dense_flop == 2 * 2 * 2 * 10 * 3 * 32 * 32 + 8 * 140


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    network.train()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    summarise(network, 8)

    assert network.training
    assert all(torch.equal(network.state_dict()[name], value) for name, value in state.items())


def test_a_size_the_network_does_not_take() -> None:
    with torch.device("meta"):
        network = YOLO9000()
    with pytest.raises(ValueError, match="multiples of 32"):
        summarise(network, 500)

"""yolov2-efficientnet: its shapes, its class logits against loops, what it starts as, what it trains, and its size."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.training.networks.given_backbones import lively_backbone
from tests.training.networks.parts.test_regions import covered
from training.networks.backbones.efficientnet_lite import EfficientNetLite
from training.networks.parts.classifier_inside import INNER_PART, inner_part
from training.networks.parts.detector import BoxIndex, decode_boxes
from training.networks.yolov2_efficientnet import INITIAL_OBJECTNESS, YOLOv2EfficientNet

ANCHORS = ((0.3, 0.4), (1.5, 2.0), (6.0, 5.0))
CLASSES = 7
NODES_OF_THE_DEFAULT = 1726  # that the embedded default has data for
LARGEST_FILE = 25 * 10**6  # bytes, so that the default fits into the repository
HALF = 2  # bytes of a number in it


def detector() -> YOLOv2EfficientNet:
    torch.manual_seed(0)
    made = YOLOv2EfficientNet(torch.tensor(ANCHORS), CLASSES, lively_backbone()).eval()
    # every node stands for a hundred classes, and the classes' probabilities differ
    made.class_layer.first[:] = torch.arange(CLASSES) * 100
    made.class_layer.last[:] = made.class_layer.first + 100
    nn.init.normal_(made.class_layer.correction.weight, std=0.1)
    return made


def pictures(height: int = 64, width: int = 64) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1)) * 255


def every_box(batch: int, height: int, width: int) -> BoxIndex:
    places = [torch.arange(size) for size in (batch, len(ANCHORS), height, width)]
    return BoxIndex(*(part.flatten() for part in torch.meshgrid(*places, indexing="ij")))


@pytest.mark.parametrize("size", [32, 320, 416])
def test_shapes(size: int) -> None:
    with torch.device("meta"):
        network = YOLOv2EfficientNet(torch.empty(len(ANCHORS), 2), CLASSES, EfficientNetLite())
        prediction = network(torch.empty(2, 3, size, size))
    side = size // 32

    assert prediction.boxes.shape == (2, 3, 2 * side, 2 * side, 5)
    assert [feature.shape for feature in prediction.features] == [
        (2, side + 1, side + 1, 1280),
        (2, side + 1, side + 1, 320),
        (2, 3 * 64, 2 * side, 2 * side),
        (2, 3, 2 * side, 2 * side, 4),
    ]


def test_its_anchors_and_stride() -> None:
    network = detector()

    torch.testing.assert_close(network.anchors, torch.tensor(ANCHORS))
    assert (network.stride, network.multiple, network.classes) == (16, 32, CLASSES)


def test_its_size() -> None:
    with torch.device("meta"):
        network = YOLOv2EfficientNet(torch.empty(6, 2), NODES_OF_THE_DEFAULT, EfficientNetLite())

    assert HALF * sum(values.numel() for values in (*network.parameters(), *network.buffers())) < LARGEST_FILE


def test_boxes_are_the_plain_computation() -> None:
    network = detector()
    network.box.weight.data.normal_()
    with torch.no_grad():
        boxes, (_, _, vectors, decoded) = network(pictures(height=64, width=96))
    torch.testing.assert_close(decoded, decode_boxes(boxes, network.anchors))

    bias = network.box.state_dict()["bias"]
    for picture, anchor, row, column in zip(*(part.tolist() for part in every_box(2, 4, 6)), strict=True):
        own = vectors[picture, anchor * 64 : (anchor + 1) * 64, row, column]
        rows = slice(anchor * 5, (anchor + 1) * 5)
        expected = network.box.weight[rows, :, 0, 0] @ own + bias[rows]
        torch.testing.assert_close(boxes[picture, anchor, row, column], expected, rtol=1e-4, atol=1e-4)


def test_class_logits_are_the_plain_computation() -> None:
    network, height, width = detector(), 3, 4
    nn.init.normal_(network.box.weight)
    shown = pictures(32 * height, 32 * width)
    with torch.no_grad():
        prediction = network(shown)
        _, _, vectors, boxes = prediction.features
        every = every_box(2, 2 * height, 2 * width)
        index = BoxIndex(*(part.flip(0)[::5] for part in every))  # some, in another order
        found = network.class_logits(prediction.features, index)
        _, stride16, stride32 = network.backbone(shown)
        features = torch.cat((network.backbone.head(stride32), network.tail(stride16)), dim=1)

        assert found.shape == (len(index.picture), CLASSES)
        for logits, picture, anchor, row, column in zip(found, *(part.tolist() for part in index), strict=True):
            x, y, w, h = boxes[picture, anchor, row, column].tolist()
            across, down = covered(x, INNER_PART * w, width), covered(y, INNER_PART * h, height)
            mean = torch.zeros(1280 + 320)
            for r, c in product(range(height), range(width)):
                mean += features[picture, :, r, c] * down[r] * across[c] / (sum(down) * sum(across))
            own = vectors[picture, anchor * 64 : (anchor + 1) * 64, row, column]
            expected = network.class_layer(mean[None, :1280], torch.cat((mean[1280:], own))[None])[0]
            torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


def test_a_box_around_everything_sees_the_mean_of_all_features() -> None:
    network = detector()
    with torch.no_grad():
        classifier, deep, vectors, boxes = network(pictures()).features
        boxes[:] = torch.tensor([0.5, 0.5, 2.0, 2.0])  # all cells
        vectors[:] = 0
        found = network.class_logits((classifier, deep, vectors, boxes), every_box(2, 4, 4)).view(2, -1, CLASSES)
        _, stride16, stride32 = network.backbone(pictures())
        means = [every.mean((2, 3)) for every in (network.backbone.head(stride32), network.tail(stride16))]
        expected = network.class_layer(means[0], torch.cat((means[1], torch.zeros(2, 64)), dim=1))

    torch.testing.assert_close(found, expected[:, None].expand_as(found), rtol=1e-4, atol=1e-4)


def test_the_inner_part_keeps_the_centre() -> None:
    found = inner_part(torch.tensor([[0.3, 0.4, 0.2, 1.0]]))

    torch.testing.assert_close(found, torch.tensor([[0.3, 0.4, 0.2 * INNER_PART, INNER_PART]]))


def test_at_first_boxes_are_near_their_anchors_and_hardly_objects() -> None:
    network = detector()
    with torch.no_grad():
        boxes = network(pictures()).boxes
    sizes = decode_boxes(boxes, network.anchors)[..., 2:] * 4  # in cells

    assert boxes[..., 4].sigmoid().mean().item() == pytest.approx(INITIAL_OBJECTNESS, rel=0.5)
    expected = network.anchors[:, None, None].expand_as(sizes)
    torch.testing.assert_close(sizes, expected, rtol=0.5, atol=0)


def test_at_first_the_trained_blocks_are_the_classifiers() -> None:
    network = detector()
    with torch.no_grad():
        _, stride16, stride32 = network.backbone(pictures())

        torch.testing.assert_close(network.tail(stride16), stride32)


def test_no_boxes_have_no_logits() -> None:
    network = detector()
    none = BoxIndex(*(torch.zeros(0, dtype=torch.int64) for _ in range(4)))

    assert network.class_logits(network(pictures()).features, none).shape == (0, CLASSES)


def test_all_but_the_classifier_and_the_temperature_trains() -> None:
    network = detector().train()
    before = {name: values.clone() for name, values in network.backbone.named_buffers()}
    prediction = network(pictures())
    logits = network.class_logits(prediction.features, every_box(2, 4, 4))
    torch.autograd.backward((logits.square().sum(), prediction.boxes.square().sum()))

    for name, parameter in network.named_parameters():
        if name.startswith(("backbone.", "class_layer.flat.", "class_layer.log_temperature.")):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name
    for name, values in network.backbone.named_buffers():  # its norms have fixed statistics
        torch.testing.assert_close(values, before[name], rtol=0, atol=0)


def test_where_classes_are_looked_up_is_not_trained_by_them() -> None:
    network = detector()
    prediction = network(pictures())
    logits = network.class_logits(prediction.features, every_box(2, 4, 4))

    assert torch.autograd.grad(logits.sum(), prediction.boxes, allow_unused=True, retain_graph=True)[0] is None
    assert network.box.weight.grad is None
    assert not prediction.features[0].requires_grad
    assert not prediction.features[3].requires_grad


def test_under_autocast_boxes_and_logits_are_float32_and_near() -> None:
    network = detector()
    index = every_box(2, 4, 4)
    with torch.no_grad():
        exact = network(pictures())
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(pictures())
        logits, expected = (network.class_logits(made.features, index) for made in (rough, exact))

    assert rough.features[2].dtype == torch.bfloat16
    assert (rough.boxes.dtype, rough.features[0].dtype, logits.dtype) == (torch.float32,) * 3
    torch.testing.assert_close(rough.boxes, exact.boxes, rtol=0.05, atol=0.05)
    assert functional.cosine_similarity(logits, expected).min().item() == pytest.approx(1, abs=0.01)


def test_float64_stays_float64_and_is_near_float32() -> None:
    network, index = detector(), every_box(2, 4, 4)
    with torch.no_grad():
        single = network(pictures())
        expected = network.class_logits(single.features, index)
        double = network.double()(pictures().double())
        logits = network.class_logits(double.features, index)

    assert {tensor.dtype for tensor in (double.boxes, *double.features, logits)} == {torch.float64}
    torch.testing.assert_close(double.boxes.float(), single.boxes, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits.float(), expected, rtol=1e-3, atol=1e-3)
    assert math.isfinite(logits.sum().item())

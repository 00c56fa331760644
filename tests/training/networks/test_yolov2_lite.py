"""yolov2-lite: its shapes, its class logits against loops, what it starts as, what it trains, and its size."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.networks.detector import BoxIndex, decode_boxes
from training.networks.efficientnet_lite import EfficientNetLite0
from training.networks.yolov2_lite import INITIAL_OBJECTNESS, INNER_PART, YOLOv2Lite, inner_part

ANCHORS = ((0.3, 0.4), (1.5, 2.0), (6.0, 5.0))
CLASSES = 7
NODES_OF_THE_DEFAULT = 1726  # that the embedded default has data for
LARGEST_FILE = 25 * 10**6  # bytes, so that the default fits into the repository
HALF = 2  # bytes of a number in it


def detector() -> YOLOv2Lite:
    torch.manual_seed(0)
    backbone = EfficientNetLite0()
    with torch.no_grad():  # norms that do something
        for name, values in backbone.named_buffers():
            values.uniform_(0.5, 1.5) if name.endswith("running_var") else values.normal_(0, 0.1)
    return YOLOv2Lite(torch.tensor(ANCHORS), CLASSES, backbone).eval()


def pictures(height: int = 64, width: int = 64) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1)) * 255


def every_box(batch: int, height: int, width: int) -> BoxIndex:
    places = [torch.arange(size) for size in (batch, len(ANCHORS), height, width)]
    return BoxIndex(*(part.flatten() for part in torch.meshgrid(*places, indexing="ij")))


@pytest.mark.parametrize("size", [32, 320, 416])
def test_shapes(size: int) -> None:
    with torch.device("meta"):
        network = YOLOv2Lite(torch.tensor(ANCHORS, device="cpu"), CLASSES, EfficientNetLite0())
        prediction = network(torch.empty(2, 3, size, size))
    side = size // 32

    assert prediction.boxes.shape == (2, 3, side, side, 5)
    assert [feature.shape for feature in prediction.features] == [
        (2, side + 1, side + 1, 1280),
        (2, 3 * 64, side, side),
        (2, 3, side, side, 4),
    ]


def test_its_anchors_and_stride() -> None:
    network = detector()

    torch.testing.assert_close(network.anchors, torch.tensor(ANCHORS))
    assert (network.stride, network.classes) == (32, CLASSES)


def test_its_size() -> None:
    with torch.device("meta"):
        network = YOLOv2Lite(torch.empty(5, 2), NODES_OF_THE_DEFAULT, EfficientNetLite0())

    assert HALF * sum(values.numel() for values in (*network.parameters(), *network.buffers())) < LARGEST_FILE


def test_boxes_are_the_plain_computation() -> None:
    network = detector()
    network.box.weight.data.normal_()
    with torch.no_grad():
        boxes, (_, vectors, decoded) = network(pictures(height=64, width=96))
    torch.testing.assert_close(decoded, decode_boxes(boxes, network.anchors))

    bias = network.box.state_dict()["bias"]
    for picture, anchor, row, column in zip(*(part.tolist() for part in every_box(2, 2, 3)), strict=True):
        own = vectors[picture, anchor * 64 : (anchor + 1) * 64, row, column]
        rows = slice(anchor * 5, (anchor + 1) * 5)
        expected = network.box.weight[rows, :, 0, 0] @ own + bias[rows]
        torch.testing.assert_close(boxes[picture, anchor, row, column], expected, rtol=1e-4, atol=1e-4)


def test_class_logits_are_the_plain_computation() -> None:
    network, height, width = detector(), 3, 4
    torch.nn.init.normal_(network.box.weight)
    torch.nn.init.normal_(network.anchor_to_class.weight)
    shown = pictures(32 * height, 32 * width)
    with torch.no_grad():
        prediction = network(shown)
        _, vectors, boxes = prediction.features
        index = BoxIndex(*(part.flip(0)[::2] for part in every_box(2, height, width)))  # some, in another order
        found = network.class_logits(prediction.features, index)
        features = network.backbone.head(network.backbone(shown)[1])

        assert found.shape == (len(index.picture), CLASSES)
        regions = set()
        for logits, picture, anchor, row, column in zip(found, *(part.tolist() for part in index), strict=True):
            x, y, w, h = boxes[picture, anchor, row, column].tolist()
            across = [c for c in range(width) if abs((c + 0.5) / width - x) <= INNER_PART * w / 2] or [column]
            down = [r for r in range(height) if abs((r + 0.5) / height - y) <= INNER_PART * h / 2] or [row]
            regions.add((len(across), len(down)))
            mean = torch.stack([features[picture, :, r, c] for r in down for c in across]).mean(0)
            own = vectors[picture, anchor * 64 : (anchor + 1) * 64, row, column]
            expected = network.rows.weight @ (mean + network.anchor_to_class.weight @ own) + network.rows.bias
            torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)
    assert len(regions) > 3


def test_at_first_only_the_region_decides_on_the_class() -> None:
    network = detector()
    with torch.no_grad():
        integral, vectors, boxes = network(pictures()).features
        boxes[:] = torch.tensor([0.5, 0.5, 2.0, 2.0])
        logits = network.class_logits((integral, vectors, boxes), every_box(2, 2, 2)).view(2, -1, CLASSES)
        expected = network.rows(network.backbone.head(network.backbone(pictures())[1]).mean((2, 3)))

    torch.testing.assert_close(logits, expected[:, None].expand_as(logits), rtol=1e-4, atol=1e-5)


def test_the_inner_part_keeps_the_centre() -> None:
    found = inner_part(torch.tensor([[0.3, 0.4, 0.2, 1.0]]))

    torch.testing.assert_close(found, torch.tensor([[0.3, 0.4, 0.2 * INNER_PART, INNER_PART]]))


def test_at_first_boxes_are_near_their_anchors_and_hardly_objects() -> None:
    network = detector()
    with torch.no_grad():
        boxes = network(pictures()).boxes
    sizes = decode_boxes(boxes, network.anchors)[..., 2:] * 2  # in cells

    assert boxes[..., 4].sigmoid().mean().item() == pytest.approx(INITIAL_OBJECTNESS, rel=0.5)
    expected = network.anchors[:, None, None].expand_as(sizes)
    torch.testing.assert_close(sizes, expected, rtol=0.5, atol=0)


def test_at_first_the_trained_blocks_are_the_classifiers() -> None:
    network = detector()
    with torch.no_grad():
        stride16, stride32 = network.backbone(pictures())

        torch.testing.assert_close(network.tail(stride16), stride32)


def test_no_boxes_have_no_logits() -> None:
    network = detector()
    none = BoxIndex(*(torch.zeros(0, dtype=torch.int64) for _ in range(4)))

    assert network.class_logits(network(pictures()).features, none).shape == (0, CLASSES)


def test_all_but_the_classifier_trains() -> None:
    network = detector().train()
    torch.nn.init.normal_(network.anchor_to_class.weight)  # while it is zero, what is behind it hears nothing
    before = {name: values.clone() for name, values in network.backbone.state_dict().items()}
    prediction = network(pictures())
    logits = network.class_logits(prediction.features, every_box(2, 2, 2))
    torch.autograd.backward((logits.square().sum(), prediction.boxes.square().sum()))

    for name, parameter in network.named_parameters():
        if name.startswith("backbone."):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name
    for name, values in network.backbone.state_dict().items():
        torch.testing.assert_close(values, before[name], rtol=0, atol=0)


def test_where_classes_are_looked_up_is_not_trained_by_them() -> None:
    network = detector()
    prediction = network(pictures())
    logits = network.class_logits(prediction.features, every_box(2, 2, 2))

    assert torch.autograd.grad(logits.sum(), prediction.boxes, allow_unused=True, retain_graph=True)[0] is None
    assert network.box.weight.grad is None
    assert not prediction.features[0].requires_grad
    assert not prediction.features[2].requires_grad


def test_under_autocast_boxes_and_logits_are_float32_and_near() -> None:
    network = detector()
    index = every_box(2, 2, 2)
    with torch.no_grad():
        exact = network(pictures())
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(pictures())
        logits, expected = (network.class_logits(made.features, index) for made in (rough, exact))

    assert rough.features[1].dtype == torch.bfloat16
    assert (rough.boxes.dtype, rough.features[0].dtype, logits.dtype) == (torch.float32,) * 3
    torch.testing.assert_close(rough.boxes, exact.boxes, rtol=0.05, atol=0.05)
    assert functional.cosine_similarity(logits, expected).min().item() == pytest.approx(1, abs=0.01)


def test_float64_stays_float64_and_is_near_float32() -> None:
    network, index = detector(), every_box(2, 2, 2)
    with torch.no_grad():
        single = network(pictures())
        expected = network.class_logits(single.features, index)
        double = network.double()(pictures().double())
        logits = network.class_logits(double.features, index)

    assert {tensor.dtype for tensor in (double.boxes, *double.features, logits)} == {torch.float64}
    torch.testing.assert_close(double.boxes.float(), single.boxes, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits.float(), expected, rtol=1e-3, atol=1e-3)
    assert math.isfinite(logits.sum().item())

"""The head's rows in darknet's order, computed only where they are asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from training.networks.parts.detector import BoxIndex
from training.networks.parts.region_head import RegionHead

BATCH, CHANNELS, ANCHORS, CLASSES, HEIGHT, WIDTH = 2, 6, 3, 4, 2, 3


def head() -> RegionHead:
    torch.manual_seed(0)
    made = RegionHead(CHANNELS, ANCHORS, CLASSES)
    nn.init.normal_(made.convolution.weight)
    nn.init.normal_(made.convolution.bias)
    return made


def index_of(boxes: list[tuple[int, int, int, int]]) -> BoxIndex:
    return BoxIndex(*torch.tensor(boxes, dtype=torch.int64).reshape(-1, 4).unbind(1))


def test_dense_is_the_whole_convolution() -> None:
    region, features = head(), torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)

    assert region.dense(features).shape == (BATCH, ANCHORS * (5 + CLASSES), HEIGHT, WIDTH)
    torch.testing.assert_close(region.dense(features), region.convolution(features))


def test_each_anchors_rows_begin_with_its_box() -> None:
    region, features = head(), torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)
    boxes, dense = region(features), region.dense(features)

    assert boxes.shape == (BATCH, ANCHORS, HEIGHT, WIDTH, 5)
    for anchor in range(ANCHORS):
        for number in range(5):  # tx, ty, tw, th, to
            torch.testing.assert_close(boxes[:, anchor, :, :, number], dense[:, anchor * (5 + CLASSES) + number])


@given(
    st.lists(
        st.tuples(
            st.integers(0, BATCH - 1),
            st.integers(0, ANCHORS - 1),
            st.integers(0, HEIGHT - 1),
            st.integers(0, WIDTH - 1),
        ),
        max_size=12,
    )
)
@settings(deadline=None, max_examples=50)
def test_class_logits_are_the_dense_ones_in_the_order_asked_for(
    boxes: list[tuple[int, int, int, int]],
) -> None:
    region, features = head(), torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)
    dense = region.dense(features)

    logits = region.class_logits(features, index_of(boxes))

    assert logits.shape == (len(boxes), CLASSES)
    for (picture, anchor, row, column), found in zip(boxes, logits, strict=True):
        first = anchor * (5 + CLASSES) + 5
        torch.testing.assert_close(found, dense[picture, first : first + CLASSES, row, column])


def test_no_boxes_have_no_logits_and_still_a_gradient() -> None:
    region, features = head(), torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH, requires_grad=True)

    logits = region.class_logits(features, index_of([]))

    assert logits.shape == (0, CLASSES)
    (gradient,) = torch.autograd.grad(logits.sum(), features)
    assert not gradient.any()


def test_gradients_are_those_of_the_dense_rows() -> None:
    region, features = head(), torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH, requires_grad=True)
    index = index_of([(1, 2, 1, 2), (0, 0, 0, 1), (1, 2, 0, 0)])
    wanted = [features, *region.parameters()]
    weights = torch.randn(3, CLASSES)

    few = (region.class_logits(features, index) * weights).sum() + region(features).square().sum()
    dense = torch.unflatten(region.dense(features), 1, (ANCHORS, 5 + CLASSES))
    rows = dense[index.picture, index.anchor, 5:, index.row, index.column]
    all_rows = (rows * weights).sum() + dense[:, :, :5].square().sum()

    for found, expected in zip(torch.autograd.grad(few, wanted), torch.autograd.grad(all_rows, wanted), strict=True):
        torch.testing.assert_close(found, expected)


def test_boxes_start_as_their_anchors_and_classes_as_likely() -> None:
    region = RegionHead(1024, 2, 5)

    assert not region.convolution.bias.any()
    assert region.convolution.weight.std().item() == pytest.approx(0.01, rel=0.1)


def test_boxes_stay_float32_under_autocast() -> None:
    region, features = head(), torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        boxes, logits = (
            region(features),
            region.class_logits(features, index_of([(0, 1, 0, 0), (0, 0, 1, 1)])),
        )

    assert boxes.dtype == torch.float32
    assert logits.shape == (2, CLASSES)


class Gate(nn.Module):
    """The head behind a gate on objectness, as it is exported."""

    def __init__(self, region: RegionHead) -> None:
        super().__init__()
        self.region = region

    def forward(self, features: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
        index = (self.region(features)[..., 4].sigmoid() >= threshold).nonzero()
        return index, self.region.class_logits(features, BoxIndex(*index.unbind(1)))


# torch's exporter meets a deprecation of its own.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_it_exports_to_onnx_with_any_number_of_boxes(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript")
    pytest.importorskip("onnxruntime")
    from model.onnx_runtime import onnxruntime

    gate = Gate(head()).eval()
    free = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        gate,
        (torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH), torch.tensor(0.5)),
        dynamo=True,
        verbose=False,
        input_names=["features", "threshold"],
        dynamic_shapes=({0: free, 2: free, 3: free}, None),
    )
    assert program is not None
    program.save(tmp_path / "gate.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "gate.onnx", providers=["CPUExecutionProvider"])

    for shape, threshold in (((2, 2, 3), 0.5), ((1, 4, 4), 0.3), ((1, 1, 1), 0.5), ((3, 2, 2), 1.1)):
        batch, height, width = shape
        features = torch.randn(batch, CHANNELS, height, width)
        index, logits = session.run(None, {"features": features.numpy(), "threshold": np.array(threshold, np.float32)})
        with torch.no_grad():
            expected_index, expected = gate(features, torch.tensor(threshold))
        assert index.tolist() == expected_index.tolist()
        assert len(index) == 0 if threshold > 1 else True
        np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-5, atol=1e-5)


def test_folded_it_computes_the_same_and_is_unfolded_again() -> None:
    region, folded, features = head(), head(), torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)
    folded.fold()
    index = index_of([(0, 2, 1, 1), (1, 0, 0, 2), (0, 1, 1, 0)])

    torch.testing.assert_close(folded(features), region(features))
    torch.testing.assert_close(folded.class_logits(features, index), region.class_logits(features, index))
    assert folded.folded is not None
    state = region.unfolded_state(folded.folded.state_dict())
    for name, value in region.state_dict().items():
        torch.testing.assert_close(state[name].view_as(value), value)


def test_rows_of_another_head() -> None:
    region, other, features = head(), RegionHead(CHANNELS, ANCHORS, 2), torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)
    nn.init.normal_(other.convolution.weight)
    before = torch.unflatten(region.dense(features), 1, (ANCHORS, -1))
    region.take_rows(other.convolution.weight, other.convolution.bias, [(3, 0), (1, 1)])

    found = torch.unflatten(region.dense(features), 1, (ANCHORS, -1))
    theirs = torch.unflatten(other.dense(features), 1, (ANCHORS, -1))
    torch.testing.assert_close(found[:, :, :5], theirs[:, :, :5])
    torch.testing.assert_close(found[:, :, [8, 6]], theirs[:, :, [5, 6]])
    torch.testing.assert_close(found[:, :, [5, 7]], before[:, :, [5, 7]])

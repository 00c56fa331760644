"""yolov2-lite: three grids, one list of boxes."""

from pathlib import Path

import pytest
import torch

from tests.training.networks.given_backbones import lively_backbone
from tests.training.networks.published_nanodet import made_up_weights
from training.networks.backbones.nanodet import INITIAL_OBJECTNESS, load_nanodet
from training.networks.catalogue import ANCHORS, Design, build_detector
from training.networks.parts.box_quality import seen_of_boxes
from training.networks.parts.classifier_inside import reduced_side
from training.networks.parts.detector import BoxIndex, Location, Prediction, decode_boxes
from training.networks.yolov2_lite import YOLOv2Lite
from training.weights.checkpoint import InvalidCheckpointError
from training.weights.published_start import start_from_published

CLASSES = 7
SIDES = {32: 32, 256: 160, 288: 192, 320: 192, 352: 224, 384: 256, 416: 256, 448: 288, 512: 320, 544: 352}
"""Of inputs and of what the classifier inside sees of them, px."""


def made() -> YOLOv2Lite:
    torch.manual_seed(0)
    return YOLOv2Lite(torch.tensor(ANCHORS["yolov2-lite"]), CLASSES, lively_backbone()).eval()


@pytest.fixture(scope="module")
def network() -> YOLOv2Lite:
    network = made()
    load_nanodet(network.trunk, network.neck, network.heads, made_up_weights())
    for parameter in network.class_layer.correction.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.fixture(scope="module")
def predictions(network: YOLOv2Lite) -> tuple[Prediction, ...]:
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        return network.grids(pictures)


def test_each_grid_has_a_box_a_cell(network: YOLOv2Lite, predictions: tuple[Prediction, ...]) -> None:
    assert [each.boxes.shape for each in predictions] == [(2, 1, 8, 8, 5), (2, 1, 4, 4, 5), (2, 1, 2, 2, 5)]
    assert [network.anchors_of(grid).tolist() for grid in range(3)] == [[[1, 1]]] * 3
    assert network.stride == 8
    assert network.location is Location.DISTANCES


def test_a_box_lies_around_its_cells_middle_as_far_as_the_distances_say() -> None:
    raw = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0]).expand(1, 1, 4, 8, 5)
    boxes = decode_boxes(raw, torch.ones(1, 2), Location.DISTANCES)
    x, y, width, height = boxes[0, 0, 3, 5].tolist()
    assert (x - width / 2) * 8 == pytest.approx(5.5 - 1)
    assert (x + width / 2) * 8 == pytest.approx(5.5 + 3)
    assert (y - height / 2) * 4 == pytest.approx(3.5 - 2)
    assert (y + height / 2) * 4 == pytest.approx(3.5 + 4)


@pytest.mark.parametrize(("side", "reduced"), SIDES.items())
def test_the_classifier_sees_five_eighths_in_whole_cells(side: int, reduced: int) -> None:
    assert reduced_side(side) == reduced
    assert reduced == 32 or abs(reduced - side * 5 / 8) <= 16


def test_it_starts_with_hardly_any_objects() -> None:
    with torch.no_grad():
        found = made().grids(torch.full((1, 3, 64, 64), 127.0))
    objectness = torch.cat([each.boxes[..., 4].sigmoid().flatten() for each in found])
    assert float(objectness.mean()) == pytest.approx(INITIAL_OBJECTNESS, rel=0.5)


def test_the_last_features_are_the_boxes(network: YOLOv2Lite, predictions: tuple[Prediction, ...]) -> None:
    for grid, each in enumerate(predictions):
        expected = decode_boxes(each.boxes, network.anchors_of(grid), Location.DISTANCES)
        torch.testing.assert_close(each.features[-1], expected)


def index_of(grid: int, picture: int) -> BoxIndex:
    side = 8 >> grid
    places = [(picture, 0, row, column) for row, column in ((0, side - 1), (side // 2, 1), (side // 2, 0))]
    return BoxIndex(*torch.tensor(places).unbind(1))


def test_all_grids_classes_at_once_are_those_of_each(network: YOLOv2Lite, predictions: tuple[Prediction, ...]) -> None:
    indexes = [index_of(0, 1), index_of(1, 0), index_of(2, 1)]
    with torch.no_grad():
        together = network.logits_of(predictions, indexes)
        apart = [network.class_logits(one.features, index) for one, index in zip(predictions, indexes, strict=True)]
    torch.testing.assert_close(together, torch.cat(apart))
    assert together.std(0).min() > 1e-4  # boxes differ in what they are called


def test_what_passes_the_gate_is_judged_as_all_boxes_would_be(
    network: YOLOv2Lite, predictions: tuple[Prediction, ...]
) -> None:
    indexes = [index_of(0, 1), index_of(1, 0), index_of(2, 1)]
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        glance = network.look(pictures)
        judged = network.judge(glance, indexes)
        _, _, boxes, objectness, sharp = network.seen_of(predictions, indexes)
        logits = network.logits_of(predictions, indexes)
    for each, trained in zip(glance, predictions, strict=True):
        torch.testing.assert_close(each.boxes[..., -1], trained.boxes[..., -1])
    torch.testing.assert_close(judged.boxes, boxes)
    torch.testing.assert_close(judged.objectness, objectness.sigmoid())  # quality has no power before a refit
    torch.testing.assert_close(judged.class_logits, logits)
    assert sharp.shape == (9, 20)
    assert sharp.std(0).min() > 1e-4


def test_quality_is_judged_as_it_was_learned(network: YOLOv2Lite, predictions: tuple[Prediction, ...]) -> None:
    judge = made()
    judge.load_state_dict(network.state_dict())
    torch.nn.init.normal_(judge.quality.output.weight)
    judge.quality.power.fill_(1)
    indexes = [index_of(0, 1), index_of(1, 0), index_of(2, 1)]
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        served = judge.judge(judge.look(pictures), indexes).objectness
        seen = judge.seen_of(predictions, indexes)
        expected = judge.quality.answer(seen[3], judge.quality(seen_of_boxes(*seen)))
    torch.testing.assert_close(served, expected)
    assert served.std() > 0


def test_each_of_three_grids_has_one_anchor() -> None:
    with pytest.raises(ValueError, match="three grids need three anchors, not 4"):
        YOLOv2Lite(torch.ones(4, 2), 3, lively_backbone())


def test_the_catalogue_builds_it() -> None:
    built = build_detector(Design("yolov2-lite", ANCHORS["yolov2-lite"]), 3)
    assert isinstance(built, YOLOv2Lite)
    assert built.location is Location.DISTANCES


def test_unreadable_weights_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(InvalidCheckpointError, match=r"a\.safetensors: cannot be read as safetensors"):
        start_from_published(made(), tmp_path / "a.safetensors")

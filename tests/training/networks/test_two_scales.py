"""yolov2-lite at two scales: what each grid is of, which picture names a box, and the exported file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.runtime import OnnxDetector
from tests.model_files import tiny_metadata
from tests.training.networks.given_backbones import lively_backbone
from training.configurations.train import NetworkConfiguration
from training.export.model_file import export_detector
from training.export.rounding import fold_norms
from training.networks.catalogue import build_detector
from training.networks.parts.classifier_inside import inner_part, reduced_side
from training.networks.parts.detector import BoxIndex, Prediction, decode_boxes
from training.networks.parts.regions import pool_regions
from training.networks.two_scales import LARGE, TwoScaleLite
from training.networks.yolov2_lite import STRIDE, YOLOv2Lite

ANCHORS = ((0.8, 1.1), (5.0, 4.0))
CLASSES = len(tiny_metadata().trained)


@pytest.fixture(scope="module")
def network() -> TwoScaleLite:
    torch.manual_seed(0)
    made = TwoScaleLite(torch.tensor(ANCHORS), CLASSES, lively_backbone()).eval()
    made.class_layer.first[:] = torch.arange(CLASSES) * 100
    made.class_layer.last[:] = made.class_layer.first + 100
    nn.init.normal_(made.class_layer.correction.weight, std=0.1)
    for module in made.modules():  # far enough from zero for boxes to differ
        if isinstance(module, nn.BatchNorm2d) and module not in set(made.backbone.modules()):
            nn.init.normal_(module.bias, 0.3, 0.5)
    nn.init.normal_(made.box.weight, std=0.3)
    return made


def pictures(size: int) -> Tensor:
    return (torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1)) * 255).round()


@pytest.mark.parametrize(
    ("side", "reduced"),
    [
        (32, 32),
        (256, 160),
        (288, 192),
        (320, 192),
        (352, 224),
        (384, 256),
        (416, 256),
        (448, 288),
        (512, 320),
        (544, 352),
    ],
)
def test_five_eighths_in_whole_cells(side: int, reduced: int) -> None:
    assert reduced_side(side) == reduced
    assert reduced == 32 or abs(reduced - side * 5 / 8) <= 16


def every_box(prediction: Prediction) -> BoxIndex:
    places = [torch.arange(size) for size in prediction.boxes.shape[:4]]
    return BoxIndex(*(part.flatten() for part in torch.meshgrid(*places, indexing="ij")))


def test_each_grid_is_what_one_look_gives(network: TwoScaleLite) -> None:
    shown = pictures(128)
    with torch.no_grad():
        both = network.look(shown)
        reduced = functional.interpolate(shown, size=(96, 96), mode="bilinear", antialias=True)
        alone = [network(shown), network(reduced)]

    assert [one.boxes.shape for one in both] == [(2, 2, 8, 8, 5), (2, 2, 6, 6, 5)]
    for found, expected in zip(both, alone, strict=True):
        torch.testing.assert_close(found.boxes, expected.boxes)
        torch.testing.assert_close(found.features[2:], expected.features[1:])


def test_the_reduced_picture_names_large_boxes(network: TwoScaleLite) -> None:
    with torch.no_grad():
        both = network.look(pictures(128))
        integrals = both[0].features[:2]
        assert [one.shape[1] - 1 for one in integrals] == [4, 3]
        for prediction in both:
            index = every_box(prediction)
            boxes = prediction.features[-1].flatten(0, 3)
            large = boxes[:, 2:].amax(1) > LARGE
            assert 0 < large.sum() < len(large)
            features, evidence = network.class_inputs(prediction.features, index)
            for integral, rows in zip(integrals, (~large, large), strict=True):
                expected = pool_regions(integral, inner_part(boxes[rows]), index.picture[rows])
                torch.testing.assert_close(features[rows], expected)
            _, own = YOLOv2Lite.class_inputs(network, (integrals[0], *prediction.features[2:]), index)
            torch.testing.assert_close(evidence, own)


def test_in_training_there_is_one_scale(network: TwoScaleLite) -> None:
    prediction = network(pictures(64))
    index = every_box(prediction)
    with torch.no_grad():
        found = network.class_logits(prediction.features, index)
        expected = YOLOv2Lite.class_logits(network, prediction.features, index)
    torch.testing.assert_close(found, expected)


@pytest.mark.slow
def test_the_file_answers_as_both_looks_do(network: TwoScaleLite, tmp_path: Path) -> None:
    metadata = tiny_metadata(anchors=ANCHORS, stride=STRIDE, sizes=(96, 128, 160), default_size=128)
    path = tmp_path / "model.onnx"
    fold_norms(network)
    export_detector(network, metadata, path)
    exported = OnnxDetector.load(path, threads=1)
    for size in metadata.sizes:
        shown = pictures(size)
        with torch.no_grad():
            both = network.look(shown)
            corners, objectness, logits = [], [], []
            for prediction in both:
                decoded = decode_boxes(prediction.boxes, network.anchors).flatten(1, 3) * size
                corners.append(
                    torch.cat((decoded[..., :2] - decoded[..., 2:] / 2, decoded[..., :2] + decoded[..., 2:] / 2), 2)
                )
                objectness.append(prediction.boxes[..., 4].sigmoid().flatten(1))
                logits.append(network.class_logits(prediction.features, every_box(prediction)).view(2, -1, CLASSES))
        expected = [torch.cat(parts, dim=1) for parts in (corners, objectness, logits)]
        scores = expected[1].flatten().sort().values
        threshold = float(scores[len(scores) // 2 - 1 : len(scores) // 2 + 1].mean())  # between two of them
        assert expected[1].std() > 0.2 * expected[1].mean()

        found = exported.run(shown.permute(0, 2, 3, 1).numpy().astype(np.uint8), threshold)

        for number, raw in enumerate(found):
            passing = expected[1][number] >= threshold
            assert len(raw) == int(passing.sum())
            for array, part in zip((raw.boxes, raw.objectness, raw.class_logits), expected, strict=True):
                torch.testing.assert_close(torch.from_numpy(array), part[number][passing], rtol=1e-3, atol=1e-3)


def test_it_is_made_where_it_is_asked_for() -> None:
    with torch.device("meta"):
        one, two = (build_detector(NetworkConfiguration(two_scales=wanted).design(), 3) for wanted in (False, True))
    assert type(one) is YOLOv2Lite
    assert type(two) is TwoScaleLite
    assert one.state_dict().keys() == two.state_dict().keys()
    with pytest.raises(ValueError, match="yolov2 looks at one scale alone"):
        NetworkConfiguration(name="yolov2", two_scales=True)

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from model.metadata import ModelMetadata
from model.pictures.decoding import letterbox
from model.runtime import OnnxDetector
from tests.model_files import tiny_metadata
from training.export.model_file import ExportError, ExportReport, export_detector
from training.export.onnx_model import HALF_LEAST_VALUES, store_in_half
from training.networks.parts.detector import BoxIndex, Detector, Prediction

ANCHORS = [[0.8, 1.1], [2.0, 1.5]]
CLASSES = len(tiny_metadata().trained)
CHANNELS = 16

Floats = np.ndarray[Any, np.dtype[np.float32]]


class SharedRows(Detector):
    """A few convolutions; each node has one row of weights for all anchors, and each anchor a bias."""

    def __init__(self) -> None:
        super().__init__(torch.tensor(ANCHORS), CLASSES)
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 4, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(0.1),
            nn.Conv2d(8, CHANNELS, 3, 4, 1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1),
        )
        self.box = nn.Conv2d(CHANNELS, len(ANCHORS) * 5, 1)
        self.rows = nn.Linear(CHANNELS, CLASSES)
        self.anchor_bias = nn.Parameter(torch.randn(len(ANCHORS), CLASSES))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean = torch.randn(8) * 0.1
                module.running_var = torch.rand(8) + 0.5
            elif isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.3)

    def forward(self, pictures: Tensor) -> Prediction:
        features = self.features(pictures / 255)
        batch, _, height, width = features.shape
        raw = self.box(features).view(batch, len(ANCHORS), 5, height, width)
        return Prediction(raw.permute(0, 1, 3, 4, 2), (features,))

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        cells = features[0].permute(0, 2, 3, 1)[index.picture, index.row, index.column]
        logits: Tensor = self.rows(cells) + self.anchor_bias[index.anchor]
        return logits


class RowsPerAnchor(SharedRows):
    """Each anchor has rows of its own, gathered for each box: an Einsum, which must never see zero boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.anchor_rows = nn.Parameter(torch.randn(len(ANCHORS), CLASSES, CHANNELS))

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        cells = features[0].permute(0, 2, 3, 1)[index.picture, index.row, index.column]
        return torch.einsum("kd,kcd->kc", cells, self.anchor_rows[index.anchor])


def metadata(**changes: Any) -> ModelMetadata:
    return tiny_metadata(anchors=ANCHORS, **({"sizes": (32, 64, 96, 128)} | changes))


class Exported:
    """A detector and the file it was exported to."""

    def __init__(self, kind: type[SharedRows], path: Path, **options: Any) -> None:
        torch.manual_seed(0)
        self.path = path
        self.detector = kind()
        self.report: ExportReport = export_detector(self.detector, metadata(), path, **options)
        self.detector.eval()
        self.onnx = OnnxDetector.load(path, threads=1)


@pytest.fixture(scope="module", params=[SharedRows, RowsPerAnchor])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(request.param, tmp_path_factory.mktemp("export") / "model.onnx")


def expected(detector: Detector, picture: np.ndarray[Any, np.dtype[np.uint8]], threshold: float) -> list[Floats]:
    """Boxes, objectness and class logits of one picture, worked out box by box from the paper's formulas."""
    with torch.no_grad():
        prediction = detector(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float())
    _, anchors, height, width, _ = prediction.boxes.shape
    boxes, objectness, logits = [], [], []
    for anchor in range(anchors):
        for row in range(height):
            for column in range(width):
                tx, ty, tw, th, to = prediction.boxes[0, anchor, row, column].double().tolist()
                score = 1 / (1 + np.exp(-to))
                if score < threshold:
                    continue
                x, y = 32 * (column + 1 / (1 + np.exp(-tx))), 32 * (row + 1 / (1 + np.exp(-ty)))
                w, h = 32 * ANCHORS[anchor][0] * np.exp(tw), 32 * ANCHORS[anchor][1] * np.exp(th)
                boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
                objectness.append(score)
                place = BoxIndex(*(torch.tensor([value]) for value in (0, anchor, row, column)))
                with torch.no_grad():
                    logits.append(detector.class_logits(prediction.features, place)[0].tolist())
    shapes = (-1, 4), (-1,), (-1, CLASSES)
    found = zip((boxes, objectness, logits), shapes, strict=True)
    return [np.array(values, np.float32).reshape(shape) for values, shape in found]


def pictures(count: int, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(size).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "size"), [(1, 32), (1, 96), (3, 64), (2, 128)])
@pytest.mark.parametrize("which", ["all", "some", "none"])
def test_the_file_answers_as_the_detector_does(exported: Exported, which: str, count: int, size: int) -> None:
    batch = pictures(count, size)
    everything = [expected(exported.detector, picture, 0) for picture in batch]
    scores = np.sort(np.concatenate([objectness for _, objectness, _ in everything]))
    middle = len(scores) // 2
    threshold = {"all": 0.0, "some": float(scores[middle - 1 : middle + 1].mean()), "none": 1.0}[which]

    found = exported.onnx.run(batch, threshold)

    assert sum(map(len, found)) == {"all": len(scores), "some": len(scores) - middle, "none": 0}[which]
    for raw, picture in zip(found, batch, strict=True):
        boxes, objectness, logits = expected(exported.detector, picture, threshold)
        assert raw.boxes == pytest.approx(boxes, rel=1e-4, abs=1e-3)
        assert raw.objectness == pytest.approx(objectness, abs=1e-5)
        assert raw.class_logits == pytest.approx(logits, rel=1e-4, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(300, 100), (90, 250)])
def test_a_picture_that_is_not_square_gets_the_detectors_boxes(exported: Exported, shape: tuple[int, int]) -> None:
    image = Image.fromarray(pictures(1, 300)[0]).resize(shape)
    square, frame = letterbox(image, 96)
    boxes, objectness, _ = expected(exported.detector, square, 0)

    detections = exported.onnx.detect(image, size=96, threshold=0, iou_threshold=1, max_detections=1000)

    in_picture = frame.to_picture(boxes)
    visible = np.all(in_picture[:, :2] < in_picture[:, 2:], axis=1)
    order = np.lexsort(detections.boxes.T)
    assert detections.boxes[order] == pytest.approx(
        in_picture[visible][np.lexsort(in_picture[visible].T)], rel=1e-4, abs=1e-2
    )
    assert np.sort(detections.objectness) == pytest.approx(np.sort(objectness[visible]), abs=1e-5)


@pytest.mark.slow
def test_the_report_says_how_near_it_is(exported: Exported) -> None:
    report = exported.report

    assert report.size == exported.path.stat().st_size
    assert max(report.boxes, report.objectness, report.probabilities) < 1e-5


@pytest.mark.slow
def test_the_file_states_its_contract_and_no_more(exported: Exported) -> None:
    model = onnx.load(exported.path)
    graph = model.graph

    def shape(value: onnx.ValueInfoProto) -> list[int | str]:
        return [dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim]

    assert exported.onnx.metadata == metadata()
    assert {value.name: shape(value) for value in (*graph.input, *graph.output)} == {
        "pictures": ["batch", "size", "size", 3],
        "threshold": [],
        "boxes": ["found", 4],
        "objectness": ["found"],
        "picture": ["found"],
        "class_logits": ["found", CLASSES],
    }
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    content = exported.path.read_bytes()
    assert b"stack_trace" not in content
    assert str(Path(__file__).parent).encode() not in content
    assert [file.name for file in exported.path.parent.iterdir()] == ["model.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("exported", [SharedRows], indirect=True)
def test_half_storage_halves_large_weights_only(tmp_path: Path, exported: Exported) -> None:
    half = Exported(SharedRows, tmp_path / "half.onnx", half_storage=True)

    initializers = onnx.load(half.path).graph.initializer
    stored = {onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in initializers}
    large = [tensor for tensor in initializers if np.prod(tensor.dims) >= HALF_LEAST_VALUES]
    assert {"FLOAT", "FLOAT16"} <= stored
    assert large
    assert all(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in large)
    assert half.report.size < exported.report.size
    batch = pictures(2, 96)
    for one, other in zip(exported.onnx.run(batch, 0), half.onnx.run(batch, 0), strict=True):
        assert one.boxes == pytest.approx(other.boxes, rel=1e-2, abs=0.1)
        assert not (one.class_logits == other.class_logits).all()


def test_weights_that_half_precision_cannot_hold_stay_as_they_are() -> None:
    ordinary, large = np.full((64, 64), 0.1, np.float32), np.full((64, 64), 1e5, np.float32)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Add", ["ordinary", "large"], ["sum"])],
            "weights",
            [],
            [onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, [64, 64])],
            [onnx.numpy_helper.from_array(ordinary, "ordinary"), onnx.numpy_helper.from_array(large, "large")],
        )
    )

    halved = store_in_half(model)

    onnx.checker.check_model(halved, full_check=True)
    types = {tensor.name: tensor.data_type for tensor in halved.graph.initializer}
    assert types == {"ordinary_half": onnx.TensorProto.FLOAT16, "large": onnx.TensorProto.FLOAT}
    assert len(model.graph.node) == 1


@pytest.mark.slow
@pytest.mark.parametrize("exported", [SharedRows], indirect=True)
def test_exporting_leaves_the_detector_alone_and_repeats_exactly(tmp_path: Path, exported: Exported) -> None:
    detector = copy.deepcopy(exported.detector).train()
    path = tmp_path / "again.onnx"

    export_detector(detector, metadata(), path, pictures=[pictures(1, 64)])

    assert detector.training
    before = exported.detector.state_dict()
    assert all((value == before[key]).all() for key, value in detector.state_dict().items())
    assert path.read_bytes() == exported.path.read_bytes()


class DifferentWhenExported(SharedRows):
    def forward(self, pictures: Tensor) -> Prediction:
        boxes, features = super().forward(pictures)
        return Prediction(boxes + 0.1 if torch.compiler.is_compiling() else boxes, features)


class WrongClassesWhenExported(SharedRows):
    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        logits = super().class_logits(features, index)
        return -logits if torch.compiler.is_compiling() else logits


@pytest.mark.slow
@pytest.mark.parametrize("kind", [DifferentWhenExported, WrongClassesWhenExported])
def test_a_file_that_differs_from_the_detector_is_not_written(kind: type[SharedRows], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the last good one")

    with pytest.raises(ExportError, match="differs from torch"):
        export_detector(kind(), metadata(), path)

    assert path.read_bytes() == b"the last good one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trained": [0, 2]}, "9 classes, but 2 nodes"),
        ({"anchors": [[1, 1], [2, 2]]}, "anchors are not the detector's"),
        ({"anchors": [[0.8, 1.1]]}, "anchors are not the detector's"),
        ({"stride": 16}, "stride 32, the model file 16"),
    ],
)
def test_metadata_of_another_network_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    other = metadata().model_copy(update=changes)

    with pytest.raises(ValueError, match=message):
        export_detector(SharedRows(), other, tmp_path / "model.onnx")


def test_scales_that_half_precision_has_few_digits_for_stay_as_they_are() -> None:
    counts = np.ones(64 * 64, np.int32)
    scales = {"bias": np.full(64 * 64, 3e-6, np.float32), "weight": np.full(64 * 64, 1e-3, np.float32)}
    zero = onnx.numpy_helper.from_array(np.zeros(64 * 64, np.int32), "zero")
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                *(
                    onnx.helper.make_node("DequantizeLinear", ["counts", f"{name}_scale", "zero"], [name], axis=0)
                    for name in scales
                ),
                onnx.helper.make_node("Add", list(scales), ["sum"]),
            ],
            "scales",
            [],
            [onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, [64 * 64])],
            [
                onnx.numpy_helper.from_array(counts, "counts"),
                zero,
                *(onnx.numpy_helper.from_array(value, f"{name}_scale") for name, value in scales.items()),
            ],
        )
    )
    types = {tensor.name: tensor.data_type for tensor in store_in_half(model).graph.initializer}
    assert types["bias_scale"] == onnx.TensorProto.FLOAT
    assert types["weight_scale_half"] == onnx.TensorProto.FLOAT16

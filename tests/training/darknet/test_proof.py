"""darknet itself against what is imported: raw outputs of every cfg, and detections on every photo of its package.

The networks are whole, the inputs smaller than the cfgs': darknet takes seconds for one of those.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from model.answers.suppression import lineage_suppression
from model.answers.walk import absolute_probabilities, walk
from model.onnx_runtime import onnxruntime
from model.pictures.decoding import letterbox
from model.runtime import OnnxDetector
from model.tree_files import packaged_tree
from tests.app.servers import serving
from tests.model.answers.reference_walk import walk as reference_walk
from tests.training.darknet.libdarknet import PHOTOS, SHARE, detect_with_darknet, needs_libdarknet, run_darknet
from tests.training.darknet.networks import (
    CLASSIFIERS,
    DETECTORS,
    darknets_cfg,
    without_end,
    write_network,
)
from training.commands.import_darknet import ImportDarknetConfiguration, import_darknet
from training.darknet.cfg import parse_cfg
from training.darknet.network import DarknetDetector, DarknetNetwork, build_network
from training.darknet.random_weights import random_weights, spread_answers
from training.darknet.weights import Header, read_weights, write_weights

pytestmark = [needs_libdarknet, pytest.mark.slow]

SIZE = 128
SERVED_SIZES = (320, 544)
RELATIVE = 1e-4
LABELS = {"yolov2": "coco", "yolov2-tiny": "coco", "yolov2-voc": "voc", "yolov2-tiny-voc": "voc"}
FLAT = tuple(LABELS)

Floats = NDArray[np.float32]


@cache
def photos() -> NDArray[np.uint8]:
    """Return the photos of darknet's package, letterboxed, [7, SIZE, SIZE, 3]."""
    return np.stack([letterbox(Image.open(SHARE / "data" / f"{name}.jpg").convert("RGB"), SIZE)[0] for name in PHOTOS])


def scaled(pictures: NDArray[np.uint8]) -> Floats:
    """Return pictures [N, S, S, 3] as darknet takes them, [N, 3, S, S] of values 0 to 1."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255)


class Imported(NamedTuple):
    name: str
    network: DarknetNetwork
    cfg: Path
    weights: Path
    onnx: Path

    def raw_of_darknet(self, pictures: NDArray[np.uint8], folder: Path) -> Floats:
        """Return what darknet's last layers are given, [N, outputs]."""
        cfg = folder / "without_end.cfg"
        cfg.write_text(without_end(self.cfg.read_text()))
        return run_darknet(cfg, self.weights, scaled(pictures), folder)


@pytest.fixture(scope="module", params=[*DETECTORS, *CLASSIFIERS])
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    text = darknets_cfg(name, SIZE)
    torch.manual_seed(0)
    network = build_network(parse_cfg(text))
    random_weights(network)
    if isinstance(network, DarknetDetector):
        spread_answers(network, torch.from_numpy(photos().transpose(0, 3, 1, 2).astype(np.float32)))
    cfg, weights, onnx = (folder / f"network.{kind}" for kind in ("cfg", "weights", "onnx"))
    cfg.write_text(text)
    write_weights(network, weights, Header())
    network = build_network(parse_cfg(text)).eval()
    labels = {}
    if name in LABELS:
        labels = {"labels": SHARE / "data" / f"{LABELS[name]}.names"}
    elif name.startswith("darknet19"):
        labels = {"labels": folder / "labels"}
        labels["labels"].write_text("\n".join(f"class {number}" for number in range(1000)))
    configuration = ImportDarknetConfiguration.model_validate(
        {"cfg": cfg, "weights": weights, "output": onnx, "sizes": (SIZE, *SERVED_SIZES), **labels}
    )
    import_darknet(configuration)
    read_weights(network, weights)
    yield Imported(name, network, cfg, weights, onnx)
    for path in (weights, onnx):  # up to 200 MB each
        path.unlink()


def relative_difference(found: Floats, expected: NDArray[np.floating]) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


ODD = """
[net]
width=48
height=48
channels=3
[convolutional]
batch_normalize=1
filters=6
size=5
stride=2
pad=1
activation=linear
[convolutional]
filters=8
size=3
padding=1
activation=leaky
[maxpool]
size=3
stride=1
[maxpool]
size=3
stride=2
[convolutional]
filters=4
size=2
stride=2
activation=leaky
[maxpool]
size=3
stride=3
[route]
layers=2,1
[reorg]
stride=4
[route]
layers=-1
[maxpool]
stride=2
size=3
padding=1
[convolutional]
filters=21
activation=linear
[region]
anchors=1,1, 2,2, 3,3
num=3
classes=2
softmax=1
"""


def test_other_sizes_strides_and_paddings_are_darknets(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path, ODD)
    network = build_network(parse_cfg(ODD)).eval()
    assert isinstance(network, DarknetDetector)
    read_weights(network, weights)
    pictures = np.ascontiguousarray(photos()[:2, 40:88, 40:88])
    cfg.write_text(without_end(ODD))

    expected = run_darknet(cfg, weights, scaled(pictures), tmp_path)

    with torch.no_grad():
        raw = network.dense(torch.from_numpy(pictures).permute(0, 3, 1, 2).float())
    assert relative_difference(raw.flatten(1).numpy(), expected) < RELATIVE


def test_raw_outputs_are_darknets(imported: Imported, tmp_path: Path) -> None:
    pictures = photos()[:1]
    expected = imported.raw_of_darknet(pictures, tmp_path)
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()

    with torch.no_grad():
        network = imported.network
        raw = network.dense(batch) if isinstance(network, DarknetDetector) else network(batch)
    assert np.abs(expected).max() > 0.1
    assert relative_difference(raw.flatten(1).numpy(), expected) < RELATIVE
    if isinstance(network, DarknetDetector):
        check_detector_file(imported.onnx, network, pictures, expected)
    else:
        session = onnxruntime.InferenceSession(str(imported.onnx), providers=["CPUExecutionProvider"])
        logits, probabilities = session.run(None, {"pictures": pictures})
        assert relative_difference(logits, expected) < RELATIVE
        check_probabilities(imported.name, probabilities, expected)


def check_detector_file(onnx: Path, network: DarknetDetector, pictures: NDArray[np.uint8], raw: Floats) -> None:
    """Compare a model file's boxes, objectness and class logits with those worked out from darknet's raw output."""
    detector = OnnxDetector.load(onnx, threads=1)
    (found,) = detector.run(pictures, 0.0)
    cells = SIZE // 32
    values = raw.reshape(len(network.anchors), 5 + network.classes, cells, cells)
    tx, ty, tw, th, to = (values[:, row] for row in range(5))
    row, column = np.mgrid[:cells, :cells]
    anchors = network.anchors.numpy()[:, :, None, None]
    x, y = column + 1 / (1 + np.exp(-tx)), row + 1 / (1 + np.exp(-ty))
    w, h = anchors[:, 0] * np.exp(tw), anchors[:, 1] * np.exp(th)
    boxes = 32 * np.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), axis=-1).reshape(-1, 4)
    logits = values[:, 5:].transpose(0, 2, 3, 1).reshape(-1, network.classes)

    assert relative_difference(found.boxes, boxes) < RELATIVE
    assert relative_difference(found.objectness, 1 / (1 + np.exp(-to.reshape(-1)))) < RELATIVE
    assert relative_difference(found.class_logits[:, -network.classes :], logits) < RELATIVE


def check_probabilities(name: str, probabilities: Floats, logits: Floats) -> None:
    if name == "darknet9000":
        expected = absolute_probabilities(packaged_tree(), logits)
    else:
        exponentials = np.exp(logits - logits.max())
        expected = exponentials / exponentials.sum()
    assert np.abs(probabilities - expected).max() < 1e-4


@pytest.mark.parametrize("imported", FLAT, indirect=True)
def test_detections_are_darknets_on_every_photo(imported: Imported, tmp_path: Path) -> None:
    """At darknet's threshold of .5 on objectness times class probability no box can have two classes."""
    detector = OnnxDetector.load(imported.onnx, threads=1)
    classes = imported.network.classes
    theirs = detect_with_darknet(
        imported.cfg, imported.weights, scaled(photos()), tmp_path, classes=classes, threshold=0.5, iou=0.45
    )

    count = 0
    for picture, expected in zip(photos(), theirs, strict=True):
        (raw,) = detector.run(picture[None], 0.5)
        answers = walk(detector.trained_tree, raw.class_logits, threshold=0)
        scores = raw.objectness * answers.label_probability
        tree = detector.trained_tree
        kept = lineage_suppression(raw.boxes, scores, answers.nodes, tree, 0.45, across_lines=False)
        kept = kept[scores[kept] > 0.5]
        centres, sides = expected.boxes[:, :2], expected.boxes[:, 2:]
        corners = SIZE * np.concatenate((centres - sides / 2, centres + sides / 2), axis=1)
        order = np.argsort(-expected.scores)

        assert answers.nodes[kept].tolist() == (expected.classes[order] + 1).tolist()  # the root is node 0
        assert scores[kept] == pytest.approx(expected.scores[order], abs=1e-4)
        assert raw.boxes[kept] == pytest.approx(corners[order], abs=1e-4 * SIZE)
        count += len(kept)
    assert count > len(PHOTOS)


@pytest.mark.parametrize("imported", ["yolo9000"], indirect=True)
def test_yolo9000_walks_its_tree_as_the_reference_does(imported: Imported, tmp_path: Path) -> None:
    pictures = photos()[:1]
    raw = imported.raw_of_darknet(pictures, tmp_path)
    detector = OnnxDetector.load(imported.onnx, threads=1)
    (found,) = detector.run(pictures, 0.5)
    cells = SIZE // 32
    values = raw.reshape(3, 5 + len(packaged_tree()), cells, cells).transpose(0, 2, 3, 1).reshape(-1, 5 + 9418)
    passing = values[values[:, 4] >= 0, 5:]

    answers = walk(detector.trained_tree, found.class_logits, threshold=0.5)

    assert 2 < len(passing) == len(found)
    parents = packaged_tree().parents.tolist()
    for place, logits in enumerate(passing[:2]):  # the reference takes its time
        path, probabilities = reference_walk(parents, logits.tolist(), 0.5)
        length = answers.lengths[place]
        assert answers.paths[place, :length].tolist() == path
        assert answers.probabilities[place, :length] == pytest.approx(probabilities, abs=1e-4)


@pytest.mark.parametrize("imported", ["yolo9000"], indirect=True)
def test_yolo9000_is_served_with_all_its_concepts_at_every_size(imported: Imported) -> None:
    photo = (SHARE / "data" / "dog.jpg").read_bytes()
    with serving("--model", str(imported.onnx), "--threads", "1") as client:
        model = client.get("/model").json()
        roots = client.get("/classes").json()["items"]
        items = roots + [
            item
            for parent in ("n00002684", "n02084071", "n07705931", "n12205694")
            for item in client.get("/classes", params={"parent": parent, "limit": 200}).json()["items"]
        ]
        answers = [
            client.post("/detect", params={"size": size, "threshold": 0.9}, files={"image": photo})
            for size in (SIZE, *SERVED_SIZES)
        ]

    assert (model["tree"]["nodes"], model["tree"]["trained"]) == (9418, 9418)
    assert sum(1 + item["descendants"] for item in roots) == 9418
    assert len(items) > 100
    assert all(item["trained"] for item in items)
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert all(answer.json()["detections"] for answer in answers)

"""Runs of darknet's networks: on a tree of one's own, from every kind of start, to a model file and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from model.runtime import OnnxDetector
from model.tree_files import packaged_tree
from model.wordtree import WordTree
from tests.training.tiny_data import BEAGLE, BICYCLE, DOG, RACCOON, tiny_run, write_data
from training.command_line import ConfigurationError
from training.commands.detector_training import DetectorTraining
from training.commands.export import ExportConfiguration, export_run
from training.commands.train import train_detector
from training.configurations.load import averaged_detector
from training.configurations.mixing import read_data, trained_index
from training.darknet.weights import Header, write_weights
from training.data.batches import collate
from training.data.mixture import Mixture, SampleRequest
from training.networks.parts.detector import BoxIndex
from training.networks.parts.region_head import RegionDetector
from training.networks.tiny import YOLOv2Tiny
from training.weights.checkpoint import AVERAGE_PREFIX, InvalidCheckpointError, load_checkpoint, tensors_of
from training.wordtree.files import write_tree

NETWORK: dict[str, Any] = {"name": "yolov2-tiny", "anchors": [[0.4, 0.4], [1.2, 1.5]]}
OPTIMIZER = {"method": "sgd", "schedule": "steps", "steps": 2, "batch": 2, "warmup": 1, "accumulate": 2}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    # animals (dog (beagle), raccoon), and bicycle: a tree of one's own with WordNet's ids in it
    own = WordTree(["own-animal", BICYCLE, DOG, RACCOON, BEAGLE], [-1, -1, 0, 0, 2], list("abcde"))
    write_tree(folder / "own.json", own)
    return folder


def run_of(root: Path, output: Path, **changes: Any) -> Any:
    values = {"network": NETWORK, "tree": root / "own.json", "mixing": 4, "loss": {}, "optimizer": OPTIMIZER}
    return tiny_run(root, output, **{**values, **changes})


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert train_detector(run_of(root, folder))
    return folder


@pytest.fixture(scope="module")
def model_file(root: Path, finished: Path) -> Path:
    path = finished.parent / "tiny.onnx"
    picture = root / "images" / "tiny" / "5.png"
    report = export_run(
        ExportConfiguration(run=finished, output=path, sizes=(96, 64), default_size=64, pictures=(picture,))
    )
    assert max(report.boxes, report.objectness, report.probabilities) < 1e-3
    return path


def learned(folder: Path) -> RegionDetector:
    """A run's detector with its averaged weights, in evaluation mode."""
    tensors, state = load_checkpoint(folder)
    detector = averaged_detector(run_of(folder, folder), tensors, len(state["trained"]))
    assert isinstance(detector, RegionDetector)
    return detector


def fresh(root: Path, output: Path, **changes: Any) -> DetectorTraining:
    """A run before its start."""
    configuration = run_of(root, output, tree=None, mixing=None, **changes)
    tree = packaged_tree()
    data = read_data(configuration, tree, ())
    mixture = Mixture(data.sources, trained_index(data.trained, len(tree)), configuration.augmentation, 0)
    return DetectorTraining(configuration, tree.subset(data.trained), mixture, None, torch.device("cpu"))


def answers(detector: RegionDetector, rows: list[int]) -> tuple[Tensor, Tensor]:
    """Raw boxes, and of some boxes the class logits of some rows."""
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    index = BoxIndex(*torch.tensor([[0, 0, 0, 1], [1, 1, 1, 0]]).unbind(1))
    with torch.no_grad():
        prediction = detector.eval()(pictures)
        return prediction.boxes, detector.class_logits(prediction.features, index)[:, rows]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_it_learns_in_mixed_precision(root: Path, tmp_path: Path, precision: str) -> None:
    """The loss is computed outside autocast, from features that are less precise than the weights of the classes."""
    loop = {"workers": 0, "precision": precision, "device": "cpu"}
    training, exact = (
        fresh(root, tmp_path / name, loop=loop if name == precision else {**loop, "precision": "float32"})
        for name in (precision, "float32")
    )
    exact.detector.load_state_dict(training.detector.state_dict())
    batch = collate([training.mixture[SampleRequest(item, item, 64)] for item in range(12)])
    losses = [float(each.loss(batch, 0).total.detach()) for each in (training, exact)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    training.loss(batch, 0).total.backward()  # type: ignore[no-untyped-call]
    rows = training.detector.get_parameter("head.convolution.weight").grad
    assert rows is not None
    assert bool(rows.isfinite().all())


@pytest.mark.slow
def test_a_run_on_a_tree_of_ones_own(finished: Path) -> None:
    state = load_checkpoint(finished).state
    assert state["trained"] == [0, 1, 2, 3, 4]
    assert state["labelled"] == [1, 2, 3, 4]
    assert state["boxed"] == [1, 2]
    assert (finished / "tree.json").is_file()


@pytest.mark.slow
def test_it_becomes_a_model_file(root: Path, model_file: Path) -> None:
    detector = OnnxDetector.load(model_file, threads=1)
    metadata = detector.metadata
    assert (metadata.name, metadata.stride, metadata.anchors) == ("yolov2-tiny", 32, ((0.4, 0.4), (1.2, 1.5)))
    assert (metadata.preprocessing.mean, metadata.preprocessing.scale) == ((0,) * 3, (255,) * 3)
    assert metadata.training["start"] == "random weights"
    assert detector.tree.wnids == ("own-animal", BICYCLE, DOG, RACCOON, BEAGLE)
    with Image.open(root / "images" / "tiny" / "5.png") as image:
        assert np.isfinite(detector.detect(image, threshold=0.0).boxes).all()


@pytest.mark.slow
def test_it_is_resumed(root: Path, finished: Path) -> None:
    assert train_detector(run_of(root, finished, resume=True))
    with pytest.raises(InvalidCheckpointError, match="belongs to another WordTree"):
        train_detector(run_of(root, finished, resume=True, tree=None))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "model file", "darknet"])
def test_a_run_starts_from_it(root: Path, finished: Path, model_file: Path, tmp_path: Path, kind: str) -> None:
    """On another tree, whose rows of the same synsets it takes over, and with the same answers."""
    before = learned(finished)
    start = {"run": finished, "model file": model_file}.get(kind, tmp_path / "a.weights")
    if kind == "darknet":
        write_weights(before, start, Header())
    run = fresh(root, tmp_path / "b", network={**NETWORK, "start": start})
    run.start_from(start)
    assert isinstance(run.detector, RegionDetector)
    own = [1, 2, 3, 4]
    rows = [run.tree.index(wnid) for wnid in (BICYCLE, DOG, RACCOON, BEAGLE)]
    boxes, logits = answers(run.detector, rows)
    expected_boxes, expected_logits = answers(before, own)
    torch.testing.assert_close(boxes, expected_boxes, rtol=1e-3, atol=1e-4)
    if kind != "darknet":  # whose classes nothing is known of
        torch.testing.assert_close(logits, expected_logits, rtol=1e-3, atol=1e-4)
    if kind == "model file":  # norms have statistics again
        assert all(
            bool((value != 0).any()) for name, value in run.detector.named_buffers() if name.endswith("running_mean")
        )


@pytest.mark.slow
def test_another_network_takes_the_backbone(root: Path, finished: Path, tmp_path: Path) -> None:
    network = {"name": "yolov2-tiny-voc", "start": finished}
    run = fresh(root, tmp_path / "b", network=network)
    head = {name: value.clone() for name, value in run.detector.state_dict().items() if name.startswith("head.")}
    run.start_from(finished)
    expected = tensors_of(load_checkpoint(finished).tensors, AVERAGE_PREFIX)
    for name, value in run.detector.state_dict().items():
        if name.startswith("backbone."):
            assert torch.equal(value, expected[name]), name
        elif name.startswith("head."):
            assert torch.equal(value, head[name])
    with pytest.raises(InvalidCheckpointError, match=r"another network's: they have no backbone\."):
        fresh(root, tmp_path / "c", network={"name": "yolo9000"}).start_from(finished)
    with pytest.raises(InvalidCheckpointError, match="were trained with the anchors"):
        fresh(root, tmp_path / "c", network={**NETWORK, "anchors": [[1, 1], [2, 2]]}).start_from(finished)


def test_what_does_not_go_together(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="only yolov2-lite and yolov2-efficientnet have a classifier inside"):
        fresh(root, tmp_path, loss={"distillation_scale": 1})
    with pytest.raises(ConfigurationError, match="there is no 'neck' in this network; its parts are backb"):
        fresh(root, tmp_path, network={**NETWORK, "freeze": ["neck"]})


def test_frozen_stages(root: Path, tmp_path: Path) -> None:
    run = fresh(root, tmp_path, network={**NETWORK, "freeze": ["backbone"]})
    trained = {name.split(".")[0] for name, value in run.detector.named_parameters() if value.requires_grad}
    assert trained == {"top", "head"}
    assert isinstance(run.detector, YOLOv2Tiny)

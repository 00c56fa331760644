"""A whole run of the real network on a few generated pictures: trained, stopped, resumed, exported, scored."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from model.runtime import OnnxDetector
from model.tree_files import packaged_tree
from tests.training.tiny_data import BEAGLE, BICYCLE, DOG, RACCOON, tiny_run, write_data
from training.commands.detector_training import DetectorTraining, peak_rate
from training.commands.evaluate import EvaluateConfiguration, evaluate
from training.commands.export import ExportConfiguration, export_run
from training.commands.train import train_detector
from training.configurations.mixing import labelled_in_group, read_data, trained_index
from training.configurations.train import TrainConfiguration
from training.data.batches import Batch
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.imagenet import imagenet_wnids
from training.data.mixture import Mixture
from training.data.pictures.picture import BoxedPicture
from training.networks.backbones.efficientnet_lite import load_imagenet_classifier
from training.runs.trainer import StepLoss
from training.weights.checkpoint import FolderInUseError, InvalidCheckpointError, load_checkpoint
from training.weights.flat_classifier import load_flat_classifier


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in one go."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert train_detector(tiny_run(root, folder))
    return folder


def copy_of(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder)
    return folder


@pytest.mark.slow
def test_what_a_run_leaves(root: Path, finished: Path) -> None:
    tensors, state = load_checkpoint(finished)
    assert {path.name for path in finished.iterdir()} == {
        "batch.jpg",
        "checkpoint.json",
        "configuration.json",
        "log.jsonl",
        "step-00000004.safetensors",
        "tensorboard",
    }
    assert state["step"] == 4
    assert state["tree"] == packaged_tree().digest
    assert all(bool(value.isfinite().all()) for value in tensors.values())
    written = TrainConfiguration.model_validate_json((finished / "configuration.json").read_text())
    assert written == tiny_run(root, finished)
    start = load_imagenet_classifier().backbone.state_dict()
    for name, value in start.items():
        assert torch.equal(tensors[f"network.backbone.{name}"], value), name  # the classifier stays as it was
    for name, value in ((name, value) for name, value in start.items() if name.startswith("blocks.15.")):
        own = tensors[f"network.tail.4.{name.removeprefix('blocks.15.')}"]
        assert torch.equal(own, value) == ("running" in name), name  # its last blocks' copy is trained


@pytest.mark.slow
def test_a_run_becomes_a_model_file_that_can_be_scored(root: Path, finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "made" / "tiny.onnx"
    picture = root / "images" / "tiny" / "5.png"
    report = export_run(
        ExportConfiguration(
            run=finished, output=path, version="7", sizes=(96, 64), default_size=64, pictures=(picture,)
        )
    )
    assert report.size == path.stat().st_size
    assert max(report.boxes, report.objectness, report.probabilities) < 1e-3

    detector = OnnxDetector.load(path, threads=1)
    metadata = detector.metadata
    assert (metadata.name, metadata.version, metadata.sizes, metadata.default_size) == (
        "yolov2-efficientnet",
        "7",
        (64, 96),
        64,
    )
    assert metadata.tree.digest == packaged_tree().digest
    state = load_checkpoint(finished).state
    assert [list(metadata.trained), list(metadata.labelled)] == [state["trained"], state["labelled"]]
    assert metadata.training["detection_sets"] == ["tiny"]
    assert str(root) not in metadata.to_json()
    with Image.open(picture) as image:
        found = detector.detect(image, threshold=0.0, hierarchy_threshold=0.0)
        assert len(found)
        assert (found.boxes[:, 2:] <= image.size).all()
        assert set(found.nodes.tolist()) <= set(metadata.trained)

    scores = evaluate(
        EvaluateConfiguration(
            model=path, data=root, sets=("tiny",), output=tmp_path / "report.json", objectness=0, threads=1
        )
    )
    (tiny,) = scores.sets
    assert (tiny.name, tiny.pictures, tiny.boxes) == ("tiny", 16, 15)
    assert {category.wnid: category.trained for category in tiny.categories} == {DOG: True, BICYCLE: True}
    assert tiny.ap50 is not None
    assert (tmp_path / "report.json").is_file()


@pytest.mark.slow
def test_stopped_and_resumed_it_ends_with_the_same_weights(
    root: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = DetectorTraining.loss

    def stopped(run: DetectorTraining, batch: Batch, seen: int) -> StepLoss:
        if seen == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(run, batch, seen)

    folder = tmp_path / "stopped"
    with monkeypatch.context() as patched:
        patched.setattr(DetectorTraining, "loss", stopped)
        assert not train_detector(tiny_run(root, folder))
    assert load_checkpoint(folder).state["step"] == 2
    (folder / "configuration.json").unlink()
    again = tiny_run(root, folder, resume=True)
    assert train_detector(again)
    assert TrainConfiguration.model_validate_json((folder / "configuration.json").read_text()) == again
    found, expected = load_checkpoint(folder), load_checkpoint(finished)
    assert found.state == expected.state
    assert found.tensors.keys() == expected.tensors.keys()
    for name, value in expected.tensors.items():
        assert torch.equal(found.tensors[name], value), name


@pytest.mark.slow
def test_a_fresh_start_leaves_another_run_alone(root: Path, finished: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in finished.iterdir()}
    with pytest.raises(FolderInUseError, match="add --resume to continue it, or choose another output folder"):
        train_detector(tiny_run(root, finished, seed=1))
    assert {path.name: path.stat().st_mtime_ns for path in finished.iterdir()} == before


def test_there_is_nothing_to_resume(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpointError, match="there is no checkpoint"):
        train_detector(tiny_run(root, tmp_path / "none", resume=True))
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_resumed_on_other_nodes(root: Path, finished: Path, tmp_path: Path) -> None:
    """Class rows belong to nodes by their order alone: another set of nodes would give every row another meaning."""
    folder = copy_of(finished, tmp_path / "run")
    with pytest.raises(
        InvalidCheckpointError, match=r"1 are gone, such as n02508021 \(raccoon\)\. Resume with the same"
    ):
        train_detector(tiny_run(root, folder, resume=True, classification=[]))
    index = json.loads((folder / "checkpoint.json").read_text())
    index["trained"].remove(packaged_tree().index(DOG))
    (folder / "checkpoint.json").write_text(json.dumps(index))
    with pytest.raises(InvalidCheckpointError, match=r"1 are new, such as n02084071 \(dog"):
        train_detector(tiny_run(root, folder, resume=True))
    (folder / "checkpoint.json").write_text(json.dumps({**index, "tree": "sha256:other"}))
    with pytest.raises(InvalidCheckpointError, match=r"belongs to another WordTree \(sha256:other\)"):
        train_detector(tiny_run(root, folder, resume=True))


@pytest.mark.slow
def test_resumed_with_other_anchors(root: Path, finished: Path, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path / "run")
    network: dict[str, Any] = {"anchors": [[0.4, 0.4], [1.2, 1.6]]}
    with pytest.raises(InvalidCheckpointError, match="were trained with the anchors"):
        train_detector(tiny_run(root, folder, resume=True, network=network))
    written = TrainConfiguration.model_validate_json((folder / "configuration.json").read_text())
    assert list(written.network.anchors or ()) == [(0.4, 0.4), (1.2, 1.5)]


def test_the_data_of_a_run(root: Path, tmp_path: Path) -> None:
    tree = packaged_tree()
    data = read_data(tiny_run(root, tmp_path), tree, imagenet_wnids())
    assert [(one.name, len(one.pictures), one.repeats) for one in data.sources] == [("tiny", 16, 2), ("labelled", 8, 1)]
    assert data.trained.dtype == np.int64
    labelled = sorted({tree.index(wnid) for wnid in (*imagenet_wnids(), DOG, BICYCLE, BEAGLE, RACCOON)})
    assert data.labelled == labelled
    assert data.boxed == sorted(tree.index(wnid) for wnid in (DOG, BICYCLE))
    assert data.trained.tolist() == tree.closure(labelled).tolist()
    index = trained_index(data.trained, len(tree))
    assert index.shape == (len(tree),)
    assert index[data.trained].tolist() == list(range(len(data.trained)))
    assert (np.delete(index, data.trained) == -1).all()


def test_how_many_labels_lie_in_each_sibling_group(root: Path, tmp_path: Path) -> None:
    run, tree = tiny_run(root, tmp_path), packaged_tree()
    data = read_data(run, tree, ())
    mixture = Mixture(data.sources, trained_index(data.trained, len(tree)), run.augmentation, 0)
    subset = tree.subset(data.trained.tolist())
    found = labelled_in_group(mixture, subset)

    paths = []
    for source in data.sources:  # each picture once, however often an epoch shows it
        for picture in source.pictures:
            labels = picture.nodes.tolist() if isinstance(picture, BoxedPicture) else [picture.node]
            paths += [[tree.wnids[node] for node in tree.path(label)] for label in labels]
    for node in (subset.index(DOG), subset.index(BICYCLE), subset.index(BEAGLE), subset.index(RACCOON), 0):
        siblings = {
            subset.wnids[other] for other in range(len(subset)) if subset.parents[other] == subset.parents[node]
        }
        assert found[node] == sum(bool(siblings & set(path)) for path in paths)
    assert found.max() == len(paths)


def test_sets_of_other_layouts_with_a_label_map(root: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "images"
    pictures.mkdir()
    Image.new("RGB", (64, 48)).save(pictures / "a.png")
    (pictures / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "classes.txt").write_text("dog\nmy bike\n")
    (tmp_path / "map.txt").write_text(f"{DOG} dog\n{BICYCLE} my bike\n")
    source = {
        "annotations": tmp_path / "classes.txt",
        "pictures": pictures,
        "label_map": tmp_path / "map.txt",
    }
    tree = packaged_tree()
    (read, _) = read_data(tiny_run(root, tmp_path, detection=[source]), tree, ()).sources
    (picture,) = read.pictures
    assert isinstance(picture, BoxedPicture)
    assert picture.nodes.tolist() == [tree.index(BICYCLE)]
    np.testing.assert_array_equal(picture.boxes, [[16, 12, 48, 36]])


@pytest.mark.slow
def test_a_run_starts_from_what_another_learned(root: Path, finished: Path, tmp_path: Path) -> None:
    network = {"anchors": [[0.4, 0.4], [1.2, 1.5]], "start": finished}
    fewer = tiny_run(root, tmp_path / "run", classification=[], network=network)
    tree = packaged_tree()
    data = read_data(fewer, tree, imagenet_wnids())
    mixture = Mixture(data.sources, trained_index(data.trained, len(tree)), fewer.augmentation, 0)
    run = DetectorTraining(fewer, tree.subset(data.trained), mixture, load_flat_classifier(None), torch.device("cpu"))
    fresh = {name: value.clone() for name, value in run.detector.state_dict().items()}
    run.start_from(finished)
    learned = load_checkpoint(finished).tensors
    for name, value in run.detector.state_dict().items():
        if name.startswith("tail.") or name in {"box.weight", "neck.0.0.weight"}:
            assert torch.equal(value, learned[f"average.{name}"]), name
        elif name.startswith("class_layer.flat."):
            assert torch.equal(value, fresh[name])
    assert not torch.equal(fresh["box.weight"], learned["average.box.weight"])
    with pytest.raises(InvalidCheckpointError, match="there is no checkpoint"):
        run.start_from(tmp_path / "none")


def rates(network: dict[str, Any], *names: str) -> list[float]:
    optimizer = {"learning_rate": 3, "pretrained_learning_rate": 2, "class_learning_rate": 1}
    values = {"output": "a", "detection": [{"annotations": "a", "pictures": "b"}]}
    run = TrainConfiguration.model_validate({**values, "network": network, "optimizer": optimizer})
    return [peak_rate(name, run) for name in names]


def test_peak_learning_rates() -> None:
    lite = rates({}, "box.weight", "tail.0.weight", "class_layer.correction.bias")
    assert lite == [3, 2, 1]
    names = ("backbone.coarse.1.convolution.weight", "head.convolution.weight")
    assert rates({"name": "yolov2"}, *names) == [3, 3]
    assert rates({"name": "yolov2", "start": "somewhere"}, *names) == [2, 3]


@pytest.mark.parametrize("place", ["images/tiny/3.png", f"labelled/{BEAGLE}/1.jpg"])
def test_a_run_with_a_damaged_picture_does_not_begin(root: Path, tmp_path: Path, place: str) -> None:
    shutil.copytree(root, tmp_path / "data")
    path = tmp_path / "data" / place
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InvalidDatasetError, match=rf"1 of \d+ pictures cannot be used: {path}"):
        train_detector(tiny_run(tmp_path / "data", tmp_path / "run"))
    assert not list((tmp_path / "run").glob("*"))

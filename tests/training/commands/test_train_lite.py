"""yolov2-lite from published weights to a model file: start, train, refit, export."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from model.metadata import ModelMetadata
from model.runtime import OnnxDetector
from tests.training.losses.teacher_files import teacher_file
from tests.training.networks.published_nanodet import made_up_weights
from tests.training.tiny_data import tiny_run, write_data
from training.command_line import ConfigurationError
from training.commands import refit
from training.commands.export import ExportConfiguration, export_run
from training.commands.refit import RefitConfiguration, refit_run
from training.commands.train import train_detector
from training.networks.backbones.nanodet import PIXEL_MEAN
from training.weights.checkpoint import InvalidCheckpointError, load_checkpoint

pytestmark = pytest.mark.slow

LOSS = {"iou_scale": 1, "objectness": "focal", "object_scale": 1, "distillation_scale": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lite")
    write_data(folder)
    save_file(made_up_weights(), folder / "start.safetensors")
    return folder


@pytest.fixture(scope="module")
def started(root: Path) -> Path:
    """The folder of a run of no steps: what it starts from."""
    return _run(root, "started", 0)


def _run(root: Path, name: str, steps: int) -> Path:
    network = {"name": "yolov2-lite", "anchors": None, "start": root / "start.safetensors"}
    optimizer = {"steps": steps, "batch": 4, "warmup": 1}
    assert train_detector(tiny_run(root, root / name, network=network, loss=LOSS, optimizer=optimizer))
    return root / name


def test_no_steps_leave_what_it_starts_from(started: Path) -> None:
    tensors, state = load_checkpoint(started)
    published = made_up_weights()
    assert state["step"] == 0
    for prefix in ("network.", "average."):
        assert torch.equal(tensors[f"{prefix}trunk.stage8.first.weight"], published["stage8.first.weight"])
        assert torch.equal(tensors[f"{prefix}heads.2.objectness.bias"], published["obj.2.bias"])


def test_it_trains_its_trunk_and_its_heads(root: Path, started: Path) -> None:
    before, _ = load_checkpoint(started)
    after, state = load_checkpoint(_run(root, "trained", 2))
    assert state["step"] == 2
    changed = {name for name in before if name.startswith("network.") and not torch.equal(before[name], after[name])}
    assert {
        "network.trunk.stem.weight",
        "network.heads.0.output.weight",
        "network.heads.1.objectness.weight",
    } <= changed
    assert not any(name.startswith("network.backbone.") for name in changed)


def test_it_is_refitted_and_exported(root: Path, started: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refitted = root / "refitted"
    assert (
        refit_run(RefitConfiguration(run=started, output=refitted, workers=0, sizes=(64, 96), passes=20, boxes=60)) > 0
    )
    before, after = load_checkpoint(started).tensors, load_checkpoint(refitted).tensors
    assert not torch.equal(
        before["average.class_layer.correction.weight"], after["average.class_layer.correction.weight"]
    )
    for learned in ("class_layer.mixture.output.weight", "quality.output.weight"):
        assert after[f"average.{learned}"].abs().max() > 0
    assert after["average.quality.power"] == 1

    path = root / "model.onnx"
    report = export_run(ExportConfiguration(run=refitted, output=path, sizes=(64, 96), default_size=64))
    assert report.probabilities < 1e-2
    assert report.objectness < 1e-3
    assert capfd.readouterr().out == ""  # torch.export prints the whole graph where it has to try twice
    metadata: ModelMetadata = OnnxDetector.load(path, threads=1).metadata
    assert metadata.stride == 8
    assert metadata.preprocessing.mean == PIXEL_MEAN


def test_sets_may_count_otherwise_for_the_quality_of_boxes(
    root: Path, started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: dict[str, list[float]] = {}
    for name in ("fit_classes", "fit_quality"):
        fit = getattr(refit, name)

        def noted(part: Any, seen: Any, shares: list[float], *rest: Any, name: str = name, fit: Any = fit) -> float:
            counted[name] = shares
            return float(fit(part, seen, shares, *rest))

        monkeypatch.setattr(refit, name, noted)
    output = root / "shares"
    settings: dict[str, Any] = {
        "workers": 0,
        "sizes": (64,),
        "boxes": 60,
        "shares": {"labelled": 3},
        "quality_shares": {"tiny": 2},
    }
    refit_run(RefitConfiguration(run=started, output=output, **settings))
    assert counted == {"fit_classes": [1, 3], "fit_quality": [2, 1, 1]}  # the last are backgrounds


def test_it_starts_from_its_model_file(root: Path, started: Path) -> None:
    """What a refit learned is taken over, too: whom to believe about a box, and how its boxes are judged."""
    refitted, path = root / "again", root / "again.onnx"
    refit_run(RefitConfiguration(run=started, output=refitted, workers=0, sizes=(64,), boxes=60, quality_power=0.5))
    export_run(ExportConfiguration(run=refitted, output=path, sizes=(64,), default_size=64))
    network = {"name": "yolov2-lite", "anchors": None, "start": path}
    optimizer = {"steps": 0, "batch": 4, "warmup": 1}
    assert train_detector(tiny_run(root, root / "from-file", network=network, loss=LOSS, optimizer=optimizer))
    expected, found = load_checkpoint(refitted).tensors, load_checkpoint(root / "from-file").tensors
    for name in (
        *("trunk.stage8.first.weight", "class_layer.correction.weight", "class_layer.mixture.hidden.weight"),
        *("class_layer.log_temperature.weight", "quality.output.weight", "quality.power", "quality.shift"),
    ):
        torch.testing.assert_close(found[f"average.{name}"], expected[f"average.{name}"], msg=name)


def test_it_learns_from_a_teacher_and_goes_on_as_if_it_had_not_stopped(root: Path) -> None:
    taught: dict[str, Any] = {"teacher": teacher_file(root / "teacher.onnx", 64)}

    def trained(name: str, steps: int, **changes: Any) -> dict[str, torch.Tensor]:
        network = {"name": "yolov2-lite", "anchors": None, "start": root / "start.safetensors"}
        optimizer = {"steps": steps, "batch": 4, "warmup": 1, "schedule": "steps", "drops": []}
        loss = {**LOSS, "class_scale": 0}
        run = tiny_run(root, root / name, network=network, loss=loss, optimizer=optimizer, **changes)
        assert train_detector(run)
        return load_checkpoint(root / name).tensors

    whole = trained("taught", 4, **taught)
    trained("stopped", 2, **taught)
    resumed = trained("stopped", 4, **taught, resume=True)
    alone = trained("alone", 4)
    for name in ("neck.lateral8.weight", "heads.0.output.weight", "heads.2.objectness.bias"):
        assert torch.equal(whole[f"network.{name}"], resumed[f"network.{name}"])
        assert not torch.equal(whole[f"network.{name}"], alone[f"network.{name}"])


def test_a_teacher_that_is_none_is_refused(root: Path) -> None:
    (root / "none.onnx").write_text("nothing")
    network = {"name": "yolov2-lite", "anchors": None}
    with pytest.raises(ConfigurationError, match=r"teacher: .*none\.onnx cannot be loaded"):
        train_detector(tiny_run(root, root / "untaught", network=network, loss=LOSS, teacher=root / "none.onnx"))


def test_weights_of_another_kind_are_refused(root: Path) -> None:
    with pytest.raises(ConfigurationError, match="can only start yolov2-lite, not yolov2-efficientnet"):
        train_detector(tiny_run(root, root / "other", network={"start": root / "start.safetensors"}))
    save_file({"stem.weight": torch.zeros(1)}, root / "wrong.safetensors")
    network = {"name": "yolov2-lite", "anchors": None, "start": root / "wrong.safetensors"}
    with pytest.raises(InvalidCheckpointError, match=r"wrong\.safetensors: the weights are not NanoDet-g's"):
        train_detector(tiny_run(root, root / "wrong", network=network, loss=LOSS))


def test_boxes_are_learned_by_their_iou(root: Path) -> None:
    network = {"name": "yolov2-lite", "anchors": None}
    with pytest.raises(ConfigurationError, match=r"loss\.iou_scale: yolov2-lite learns boxes by their IOU alone"):
        train_detector(tiny_run(root, root / "none", network=network, loss={**LOSS, "iou_scale": 0}))

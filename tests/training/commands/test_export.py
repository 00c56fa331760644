"""From a run's folder to what an export is given. `test_detect` exports a run in earnest."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model.metadata import ModelMetadata
from model.tree_files import packaged_tree
from tests.training.tiny_data import BEAGLE, DOG
from training.command_line import ConfigurationError
from training.commands import export as module
from training.commands.export import ExportConfiguration, evaluation_summary, export_run
from training.configurations.train import TrainConfiguration
from training.evaluation.lineage import LineageAccuracy
from training.evaluation.report import CategoryReport, ModelReport, Report, SetReport
from training.export.model_file import ExportReport
from training.networks.backbones.efficientnet_lite import EfficientNetLite
from training.networks.parts.detector import Detector
from training.networks.yolov2_efficientnet import YOLOv2EfficientNet
from training.weights.checkpoint import InvalidCheckpointError, save_checkpoint

TRAINED = packaged_tree().closure([packaged_tree().index(BEAGLE)]).tolist()
ANCHORS = ((0.5, 0.75), (2.0, 3.0))
BIAS = torch.arange(10.0)  # of two anchors' five outputs
RUN = TrainConfiguration.model_validate(
    {
        "output": "/home/somebody/runs/x",
        "detection": [{"annotations": "/home/somebody/annotations/pets.json", "pictures": "/home/somebody/pets"}],
        "classification": [{"folder": "/home/somebody/labelled"}],
        "network": {"name": "yolov2-efficientnet", "anchors": ANCHORS},
        "sizes": [64, 96],
        "seed": 8,
        "optimizer": {"batch": 5},
    }
)
REPORT = ExportReport(size=1, boxes=0.0, objectness=0.0, probabilities=0.0)


def average() -> dict[str, Tensor]:
    """Return the averaged weights of a checkpoint: those a detector starts with, and a bias that can be told."""
    torch.manual_seed(0)
    detector = YOLOv2EfficientNet(torch.tensor(ANCHORS), len(TRAINED), EfficientNetLite())
    state = {f"average.{name}": value for name, value in detector.state_dict().items()}
    state["average.box.bias"] = BIAS
    return state


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    tensors = {**average(), "network.box.bias": torch.zeros(len(BIAS))}
    state = {
        "step": 40,
        "trained": TRAINED,
        "labelled": TRAINED[-1:],
        "boxed": TRAINED[-1:],
        "tree": packaged_tree().digest,
    }
    save_checkpoint(folder, tensors, state)
    (folder / "configuration.json").write_text(RUN.model_dump_json())
    return folder


class Exported:
    """Stands in for `export_detector`; keeps what it was given."""

    def __call__(
        self,
        detector: Detector,
        metadata: ModelMetadata,
        path: Path,
        *,
        half_storage: bool,
        pictures: list[NDArray[np.uint8]],
    ) -> ExportReport:
        self.detector, self.metadata, self.path = detector, metadata, path
        self.half_storage, self.pictures = half_storage, pictures
        return REPORT


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Exported:
    stand_in = Exported()
    monkeypatch.setattr(module, "export_detector", stand_in)
    return stand_in


def test_the_average_is_exported_with_all_the_service_needs(run: Path, exported: Exported) -> None:
    output = run / "model.onnx"
    found = export_run(
        ExportConfiguration(
            run=run,
            output=output,
            name="pets",
            version="3",
            sizes=(128, 64, 64),
            default_size=128,
            objectness=0.4,
            half_storage=True,
            licence="CC0-1.0",
        )
    )
    assert found is REPORT
    assert (exported.path, exported.half_storage, exported.pictures) == (output, True, [])
    assert not exported.detector.training
    assert torch.equal(exported.detector.state_dict()["box.bias"], BIAS)
    metadata = exported.metadata
    assert (metadata.name, metadata.version, metadata.licence) == ("pets", "3", "CC0-1.0")
    assert (metadata.trained, metadata.labelled, metadata.boxed) == (tuple(TRAINED), (TRAINED[-1],), (TRAINED[-1],))
    assert metadata.tree.digest == packaged_tree().digest
    assert (metadata.anchors, metadata.stride, metadata.sizes, metadata.default_size) == (ANCHORS, 16, (64, 128), 128)
    assert metadata.thresholds.objectness == 0.4
    assert (metadata.preprocessing.mean, metadata.preprocessing.scale) == ((127,) * 3, (128,) * 3)
    assert metadata.evaluation == {}


def test_how_it_came_about_is_told_without_paths(run: Path, exported: Exported) -> None:
    export_run(ExportConfiguration(run=run, output=run / "model.onnx"))
    training = exported.metadata.training
    assert training["detection_sets"] == ["pets"]
    assert training["classification_sets"] == ["labelled"]
    assert (training["steps"], training["batch"], training["seed"], training["sizes"]) == (40, 5, 8, [64, 96])
    assert (training["trained_nodes"], training["tree_nodes"]) == (len(TRAINED), len(packaged_tree()))
    assert "somebody" not in exported.metadata.to_json()


def test_pictures_are_compared_as_the_service_sees_them(run: Path, exported: Exported, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (10, 20), (255, 0, 0)).save(path)
    export_run(
        ExportConfiguration(run=run, output=run / "model.onnx", sizes=(64,), default_size=64, pictures=(path, path))
    )
    assert [batch.shape for batch in exported.pictures] == [(1, 64, 64, 3)] * 2
    assert exported.pictures[0][0, 5, 32].tolist() == [255, 0, 0]
    assert exported.pictures[0][0, 5, 5].tolist() == [127, 127, 127]
    path.write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match=r"red\.png: not a supported picture type"):
        export_run(ExportConfiguration(run=run, output=run / "model.onnx", pictures=(path,)))


def report() -> Report:
    categories = (
        CategoryReport(wnid=DOG, name="dog", boxes=3, trained=True, ap50=0.12345, ap=0.1),
        CategoryReport(wnid=BEAGLE, name="beagle", boxes=1, trained=False, ap50=0, ap=0),
    )
    lineage = (LineageAccuracy(hierarchy_threshold=0.5, exact=1, more_specific=1, ancestor=1, wrong=0),)
    scores = SetReport(
        name="pets_val", pictures=2, boxes=4, ap50=0.5, ap=None, recall=0.75, matched=3, lineage=lineage,
        categories=categories,
    )  # fmt: skip
    model = ModelReport(name="a", version="1", tree="sha256:1", sha256="abc")
    return Report(model=model, configuration={"data": "/home/somebody/data"}, sets=(scores,))


def test_the_scores_of_a_report(run: Path, exported: Exported, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(report().model_dump_json())
    export_run(ExportConfiguration(run=run, output=run / "model.onnx", evaluation=path))
    assert exported.metadata.evaluation == evaluation_summary(path)
    assert json.loads(json.dumps(evaluation_summary(path))) == {
        "evaluated_sha256": "abc",
        "sets": {
            "pets_val": {
                "pictures": 2,
                "boxes": 4,
                "ap50": 0.5,
                "ap": None,
                "recall": 0.75,
                "matched": 3,
                "lineage": [{"hierarchy_threshold": 0.5, "exact": 1, "more_specific": 1, "ancestor": 1, "wrong": 0}],
                "categories": {DOG: 0.123, BEAGLE: 0.0},
            }
        },
    }


@pytest.mark.parametrize(("content", "reason"), [("{", "invalid JSON"), ("{}", "model: is needed")])
def test_a_report_that_is_none(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=rf"report\.json: is not what was expected here:\n  .*{reason}"):
        evaluation_summary(path)


def rewrite(path: Path, **changes: Any) -> None:
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_a_run_that_is_none(run: Path, tmp_path: Path) -> None:
    def told(error: type[Exception]) -> str:
        with pytest.raises(error) as caught:
            export_run(ExportConfiguration(run=run, output=tmp_path / "model.onnx"))
        assert not (tmp_path / "model.onnx").exists()
        return str(caught.value)

    index, configuration = run / "checkpoint.json", run / "configuration.json"
    rewrite(configuration, network={"name": "yolov2-efficientnet", "anchors": [[1, 2]]})
    assert "weights are not those of the network in its configuration.json" in told(InvalidCheckpointError)
    rewrite(configuration, sises=[64])
    assert told(ConfigurationError).endswith("sises: there is no such key")
    configuration.unlink()
    assert "configuration.json: cannot be read (No such file" in told(ConfigurationError)
    configuration.write_text(RUN.model_dump_json())
    rewrite(index, tree="sha256:other")
    assert "trained on another WordTree, sha256:other" in told(InvalidCheckpointError)
    index.unlink()
    assert "there is no checkpoint" in told(InvalidCheckpointError)

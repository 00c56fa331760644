"""Runs of `pretrain`: trained, scored, resumed, fine-tuned, exported, and built upon."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from model.onnx_runtime import onnxruntime
from model.tree_files import packaged_tree
from tests.training.tiny_data import BEAGLE, BICYCLE, DOG, RACCOON
from training.__main__ import main
from training.command_line import ConfigurationError
from training.commands.pretrain import ClassifierLoss, Labels, train_classifier
from training.configurations.pretrain import PretrainConfiguration
from training.data.batches import Batch
from training.export.classifier import METADATA_KEY
from training.runs.classifier_scores import ClassifierScores
from training.runs.trainer import StepLoss
from training.weights.checkpoint import FolderInUseError, InvalidCheckpointError, load_checkpoint
from training.weights.flat_classifier import is_classifier_run, load_flat_classifier

COLOURS = {DOG: (200, 40, 30), BICYCLE: (30, 60, 200), RACCOON: (40, 200, 60)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of each of three colours, with a little noise."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for wnid, colour in COLOURS.items():
        (root / wnid).mkdir()
        for number in range(8):
            pixels = np.clip(np.array(colour) + random.integers(-20, 20, (40, 48, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(root / wnid / f"{number}.png")
    return root


def configuration(data: Path, output: Path, **changes: Any) -> PretrainConfiguration:
    values: dict[str, Any] = {
        "output": output,
        "classification": [{"folder": data, "held_out_every": 4}],
        "network": {"name": "lite", "start": "imagenet"},
        "sizes": [32],
        "augmentation": {"hue": 0},
        "optimizer": {"epochs": 4, "batch": 6, "learning_rate": 0.02, "average_decay": 0.5, "fixed_statistics": True},
        "loop": {"workers": 0, "precision": "float32", "tensorboard": False},
    }
    return PretrainConfiguration.model_validate({**values, **changes})


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert train_classifier(configuration(data, folder)).finished
    return folder


def test_the_papers_schedule_is_the_default() -> None:
    found = PretrainConfiguration(output=Path("a"), classification=({"folder": "b"},))
    settings = found.optimizer
    assert (settings.method, settings.epochs, settings.batch, settings.learning_rate) == ("sgd", 160, 128, 0.1)
    assert (settings.schedule, settings.power, settings.momentum, settings.weight_decay) == ("polynomial", 4, 0.9, 5e-4)
    assert (found.sizes, found.softmax, found.network.name) == ((224,), "hierarchical", "darknet19")


@pytest.mark.slow
def test_three_colours_are_learned(finished: Path) -> None:
    scores = ClassifierScores.model_validate_json((finished / "scores.json").read_text())
    assert (scores.pictures, scores.size) == (6, 32)
    assert scores.top1 == scores.top5 == 1
    assert [one.exact + one.more_specific for one in scores.lineage if one.hierarchy_threshold == 0] == [6]
    state = load_checkpoint(finished).state
    tree = packaged_tree()
    labels = sorted(tree.index(wnid) for wnid in COLOURS)
    assert state["labelled"] == labels
    assert state["trained"] == tree.closure(labels).tolist()
    assert state["step"] == 12  # four epochs of 18 pictures
    assert is_classifier_run(finished)


@pytest.mark.slow
def test_stopped_and_resumed(
    data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = ClassifierLoss.__call__

    def stopped(loss: ClassifierLoss, batch: Batch, seen: int) -> StepLoss:
        if seen == 7 * 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(loss, batch, seen)

    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(ClassifierLoss, "__call__", stopped)
        outcome = train_classifier(configuration(data, folder))
    assert outcome == (False, None)
    with pytest.raises(FolderInUseError):
        train_classifier(configuration(data, folder))
    file = tmp_path / "run.json"
    file.write_text(configuration(data, folder).model_dump_json())
    assert main(("pretrain", "--configuration", str(file), "--resume")) == 0
    assert "6 pictures at 32 px: top-1 100.0%, top-5 100.0%\nwalked at 0: exact" in capsys.readouterr().out
    found, expected = load_checkpoint(folder), load_checkpoint(finished)
    assert found.state == expected.state
    for name, value in expected.tensors.items():
        assert torch.equal(found.tensors[name], value), name


@pytest.mark.slow
def test_what_a_run_cannot_be_resumed_with(data: Path, finished: Path, tmp_path: Path) -> None:
    def resume(**changes: Any) -> None:
        train_classifier(configuration(data, finished, resume=True, **changes))

    with pytest.raises(InvalidCheckpointError, match="holds lite with a hierarchical softmax, not lite with a flat"):
        resume(softmax="flat")
    (tmp_path / DOG).mkdir()
    (tmp_path / DOG / "a.png").write_bytes((data / DOG / "0.png").read_bytes())
    with pytest.raises(InvalidCheckpointError, match="trained on other labels"):
        resume(classification=[{"folder": tmp_path}])
    (tmp_path / BEAGLE).mkdir()
    (tmp_path / BEAGLE / "a.png").write_bytes((data / DOG / "0.png").read_bytes())
    with pytest.raises(ConfigurationError, match=rf"validation: .*{BEAGLE} is no label of the training pictures"):
        resume(validation=tmp_path)


@pytest.mark.slow
def test_a_second_stage_at_another_size(data: Path, finished: Path, tmp_path: Path) -> None:
    """It starts with all that the first one learned."""
    network = {"name": "lite", "start": finished}
    settings = {"steps": 1, "epochs": None, "batch": 6, "learning_rate": 1e-9, "fixed_statistics": True}
    outcome = train_classifier(configuration(data, tmp_path / "b", network=network, sizes=[64], optimizer=settings))
    assert outcome.scores is not None
    assert outcome.scores.size == 64
    assert outcome.scores.top1 > 0.5  # of three
    for name, value in load_checkpoint(tmp_path / "b").tensors.items():
        if name.startswith("network.") and value.is_floating_point():
            expected = load_checkpoint(finished).tensors[name.replace("network.", "average.")]
            torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-5)
    with pytest.raises(InvalidCheckpointError, match="holds the weights of another network than tiny"):
        train_classifier(configuration(data, tmp_path / "c", network={"name": "tiny", "start": finished}))
    with pytest.raises(ConfigurationError, match="only lite and lite2 have published weights"):
        train_classifier(configuration(data, tmp_path / "c", network={"name": "tiny", "start": "imagenet"}))


@pytest.mark.parametrize("softmax", ["hierarchical", "flat"])
def test_labels(softmax: Any) -> None:
    tree = packaged_tree()
    wnids = (DOG, BEAGLE, BICYCLE)
    labels = Labels(tree, {tree.index(wnid) for wnid in wnids}, softmax)
    assert labels.labelled == sorted(tree.index(wnid) for wnid in wnids)
    assert set(wnids) <= set(labels.wnids)
    assert [labels.wnids[labels.columns[tree.index(wnid)]] for wnid in wnids] == list(wnids)
    if softmax == "flat":
        assert len(labels.wnids) == 3
        assert labels.subset is None
    else:
        assert labels.subset is not None
        assert labels.subset.wnids == labels.wnids


def test_ancestors_are_positives_and_nothing_beneath_a_label_is_taught(data: Path, tmp_path: Path) -> None:
    tree = packaged_tree()
    labels = Labels(tree, {tree.index(DOG), tree.index(BEAGLE), tree.index(BICYCLE)}, "hierarchical")
    assert labels.subset is not None
    logits = torch.zeros(1, len(labels.nodes), requires_grad=True)
    loss = ClassifierLoss.__new__(ClassifierLoss)
    loss.__init__(  # type: ignore[misc]
        lambda _: logits, labels.subset, configuration(data, tmp_path).loop, torch.device("cpu")
    )
    truths = torch.tensor([labels.columns[tree.index(DOG)]])
    batch = Batch(torch.zeros(1, 32, 32, 3, dtype=torch.uint8), Truth(truths))  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(loss(batch, 0).total, logits)
    path = set(labels.subset.path(int(truths)))
    for node, slope in enumerate(gradient[0].tolist()):
        alone = labels.subset.group_size[labels.subset.group_of[node]] == 1
        beneath = labels.subset.is_within(node, int(truths)) and node != int(truths)
        if beneath or alone:
            assert slope == 0
        elif node in path:
            assert slope < 0


class Truth:
    """The labels of a batch."""

    def __init__(self, nodes: torch.Tensor) -> None:
        self.class_only_nodes = nodes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lite", "lite2"])
def test_a_detector_is_built_on_a_flat_run(data: Path, finished: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "flat"
    network = {"name": name, "start": "imagenet"}
    settings = {"steps": 1, "epochs": None, "batch": 6}
    assert train_classifier(configuration(data, folder, softmax="flat", network=network, optimizer=settings)).finished
    classifier = load_flat_classifier(folder)
    assert set(classifier.wnids) == set(COLOURS)
    assert (classifier.rows.shape, classifier.biases.shape) == ((3, 1280), (3,))
    assert classifier.backbone.name == ("lite2" if name == "lite2" else "lite0")
    assert len(load_flat_classifier(None).wnids) == 1000
    with pytest.raises(ConfigurationError, match="holds lite with a hierarchical softmax; a detector is"):
        load_flat_classifier(finished)


@pytest.mark.slow
def test_a_run_is_exported(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.onnx"
    assert main(("export", "--run", str(finished), "--output", str(path), "--name", "colours")) == 0
    assert "largest difference to torch" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    metadata = json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
    assert (metadata["name"], metadata["default_size"], len(metadata["wnids"])) == (
        "colours",
        32,
        len(metadata["parents"]),
    )
    picture = np.full((1, 32, 32, 3), COLOURS[RACCOON], np.uint8)
    _, probabilities = session.run(None, {"pictures": picture})
    labels = [metadata["wnids"].index(wnid) for wnid in COLOURS]
    assert max(labels, key=lambda column: probabilities[0, column]) == metadata["wnids"].index(RACCOON)

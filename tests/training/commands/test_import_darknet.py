"""`python -m training import-darknet` on small networks; the published ones are in test_proof.py."""

import hashlib
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from app.main import create_app
from app.settings import Settings
from model.onnx_runtime import onnxruntime
from model.runtime import OnnxDetector
from model.tree_files import packaged_tree
from tests.training.darknet.networks import TINY_CLASSIFIER, TINY_DETECTOR, write_network
from training.__main__ import main
from training.command_line import ConfigurationError
from training.commands import import_darknet as module
from training.commands.import_darknet import ImportDarknetConfiguration, ImportReport, import_darknet
from training.darknet.cfg import parse_cfg
from training.darknet.download import Digest
from training.darknet.errors import InvalidLabelsError, InvalidWeightsError
from training.darknet.presets import Preset
from training.weights.checkpoint import FolderInUseError, load_checkpoint

STRIDE_32 = TINY_DETECTOR.replace("size=2\nstride=2", "size=32\nstride=32\npadding=1")


class Files:
    """A cfg, its weights and labels in a folder, and what is to be written there."""

    def __init__(self, folder: Path, cfg: str = STRIDE_32) -> None:
        self.folder = folder
        self.cfg, self.weights = write_network(folder, cfg)
        self.labels, self.output = folder / "my.names", folder / "out" / "model.onnx"
        self.labels.write_text("fire truck\ndog\tn02084071\n")

    def run(self, **options: Any) -> ImportReport:
        given = {"cfg": self.cfg, "weights": self.weights, "labels": self.labels, "output": self.output} | options
        given = {key: value for key, value in given.items() if value is not None}
        return import_darknet(ImportDarknetConfiguration.model_validate(given))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = Files(tmp_path_factory.mktemp("imported"))
    files.run(name="mine", objectness=0.1, checkpoint=files.folder / "checkpoint")
    return files.output


@pytest.mark.slow
def test_a_detector_becomes_a_model_file_that_says_where_it_is_from(imported: Path) -> None:
    metadata = OnnxDetector.load(imported, threads=1).metadata

    weights = imported.parents[1] / "network.weights"
    assert (metadata.name, metadata.version, metadata.licence) == ("mine", "1", "not stated")
    assert metadata.sizes == (64, *range(320, 609, 32))
    assert (metadata.default_size, metadata.thresholds.objectness) == (64, 0.1)
    assert metadata.trained == (0, 1, 2)
    assert metadata.labelled == (1, 2)
    assert metadata.tree.names == ("physical entity", "fire truck", "dog")
    assert metadata.training == {
        "network": "network",
        "start": "imported from darknet",
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "pictures_seen": 12_345_678_901,
    }


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.slow
@pytest.mark.anyio
async def test_the_whole_service_works_with_a_flat_label_set(imported: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(tmp_path / "x.png")
    app = create_app(Settings(model=imported, threads=1))
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        roots = (await client.get("/classes")).json()
        found = (await client.get("/classes", params={"query": "fire truck"})).json()
        path = (await client.get("/classes/label-fire-truck")).json()["path"]
        files = {"image": (tmp_path / "x.png").read_bytes()}
        answers = (await client.post("/detect", params={"threshold": 0.1, "size": 320}, files=files)).json()
        only = await client.post("/detect", params={"threshold": 0.1, "under": "n02084071"}, files=files)

    assert [(item["wnid"], item["name"], item["children"], item["trained"]) for item in roots["items"]] == [
        ("n00001930", "physical entity", 2, True)
    ]
    assert [item["wnid"] for item in found["items"]] == ["label-fire-truck"]
    assert [step["name"] for step in path] == ["physical entity", "fire truck"]
    labels = {detection["label"]["name"] for detection in answers["detections"]}
    assert labels
    assert labels <= {"physical entity", "fire truck", "dog"}
    assert {detection["label"]["name"] for detection in only.json()["detections"]} <= {"dog"}


@pytest.mark.slow
def test_a_classifier_becomes_an_onnx_file(tmp_path: Path) -> None:
    files = Files(tmp_path, TINY_CLASSIFIER)
    files.labels.write_text("dog\ncat\ncar\n")

    report = files.run()

    session = onnxruntime.InferenceSession(str(files.output), providers=["CPUExecutionProvider"])
    (_, probabilities) = session.run(None, {"pictures": np.zeros((1, 64, 64, 3), np.uint8)})
    assert probabilities.shape == (1, 3)
    assert probabilities.sum() == pytest.approx(1)
    assert (report.classes, report.concepts) == (3, 3)


@pytest.mark.slow
def test_the_command_tells_what_it_wrote(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("cfg", "weights", "labels", "output")
    arguments = [part for key in options for part in (f"--{key}", str(getattr(files, key)))]

    assert main(["import-darknet", *arguments, "--sizes", "64", "--half-storage"]) == 0

    told = capsys.readouterr().out
    assert str(files.output) in told
    assert "3 concepts" not in told
    assert "2 concepts; largest difference to torch" in told
    assert f"sha256:{hashlib.sha256(files.weights.read_bytes()).hexdigest()}" in told


@pytest.mark.slow
def test_the_checkpoint_holds_the_network(imported: Path) -> None:
    tensors, state = load_checkpoint(imported.parents[1] / "checkpoint")

    assert state["darknet"]["cfg"] == STRIDE_32
    assert state["darknet"]["header"] == {"major": 0, "minor": 2, "revision": 0, "seen": 12_345_678_901}
    assert tensors["network.head.convolution.weight"].shape == (14, 8, 1, 1)


def refused(files: Files, error: type[Exception], message: str, **options: Any) -> None:
    with pytest.raises(error, match=message):
        files.run(**options)
    assert not files.output.parent.exists()


@pytest.mark.parametrize(
    ("labels", "message"),
    [("dog\n", "2 classes, but there is labels for 1"), ("a\nb\nc\n", "labels for 3"), ("dog\n\ncat\n", "is blank")],
)
def test_labels_of_another_number_are_refused(labels: str, message: str, files: Files) -> None:
    files.labels.write_text(labels)

    refused(files, InvalidLabelsError, message)


def test_classes_without_labels_are_refused(files: Files) -> None:
    refused(files, InvalidLabelsError, "has 2 classes: --labels or --tree must say", labels=None)


def test_a_tree_for_flat_classes_and_labels_for_a_tree_are_refused(files: Files) -> None:
    tree = files.folder / "my.tree"
    tree.write_text("a -1\nb -1\n")
    refused(files, InvalidLabelsError, "needs --labels, not --tree", labels=None, tree=tree)

    files.cfg.write_text(STRIDE_32 + "tree=my.tree\n")
    refused(files, InvalidLabelsError, "needs --tree, not --labels")


@pytest.mark.slow
def test_a_tree_of_ones_own_answers_with_its_nodes(files: Files) -> None:
    files.cfg.write_text(STRIDE_32 + "tree=my.tree\n")
    tree = files.folder / "my.tree"
    tree.write_text("a -1\nb 0\n")

    report = files.run(labels=None, tree=tree, sizes=(64,))

    assert report.concepts == 2
    assert OnnxDetector.load(files.output, threads=1).tree.wnids == ("a", "b")


def test_a_file_that_does_not_fit_leaves_nothing_behind(files: Files) -> None:
    files.weights.write_bytes(files.weights.read_bytes()[:-4])

    refused(files, InvalidWeightsError, "ends in convolution 2", checkpoint=files.folder / "checkpoint")

    assert not (files.folder / "checkpoint").exists()


def test_a_cfg_larger_than_its_weights_is_refused_before_anything_is_allocated(files: Files) -> None:
    """60,000 filters of 3x3 on 60,000 channels take 130 GB."""
    layer = "[convolutional]\nfilters=60000\nsize=3\npad=1\nactivation=leaky\n"
    files.cfg.write_text(STRIDE_32.replace("[convolutional]\nfilters=14", f"{layer}{layer}[convolutional]\nfilters=14"))

    refused(files, InvalidWeightsError, "ends in convolution 2 .60000 filters of 3x3 on 8 channels")


@pytest.mark.slow
def test_the_digest_is_checked_where_one_is_given(files: Files) -> None:
    refused(files, ConfigurationError, f"its digest is sha256:.*, not sha256:{'0' * 64}", sha256="0" * 64)
    refused(files, ConfigurationError, "is no digest", sha256="1234")

    files.run(sha256=hashlib.sha256(files.weights.read_bytes()).hexdigest(), sizes=(64,))
    assert files.output.exists()


def test_sizes_that_do_not_fit_are_refused(files: Files) -> None:
    refused(files, ConfigurationError, r"default size 64 is not one of the sizes \[96\]", sizes=(96,))


@pytest.mark.slow
def test_a_checkpoint_is_not_overwritten(files: Files, imported: Path) -> None:
    refused(files, FolderInUseError, "holds a checkpoint already", checkpoint=imported.parents[1] / "checkpoint")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs either preset or cfg"),
        ({"preset": "yolov2", "cfg": "a"}, "needs either preset or cfg"),
        ({"cfg": "a"}, "weights is needed"),
        ({"preset": "yolov2"}, "weights is needed"),
        ({"cfg": "a", "download": True}, "download needs a preset"),
        ({"preset": "yolov2", "weights": "a", "address": "b"}, "so it needs download"),
        ({"preset": "yolov2", "weights": "a", "labels": "b"}, "has its labels already"),
        ({"cfg": "a", "weights": "a", "labels": "b", "tree": "c"}, "not both"),
        ({"preset": "yolov5", "weights": "a"}, "yolo9000"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ImportDarknetConfiguration.model_validate({"output": "x.onnx", **options})


@pytest.mark.slow
def test_a_preset_downloads_what_it_needs_and_has_its_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a network of a preset's classes that is small enough for a test."""
    cfg = STRIDE_32.replace("filters=14", "filters=50").replace("classes=2", "classes=20")
    _, weights = write_network(tmp_path, cfg)
    asked: list[Any] = []

    def fetch(addresses: Any, path: Path, digest: Any, *, most: int) -> Any:
        asked.append((addresses, path, str(digest), most))
        weights.rename(path)
        return Digest.of(path)

    monkeypatch.setattr(module, "download", fetch)
    monkeypatch.setattr(Preset, "cfg", lambda _: (parse_cfg(cfg), cfg))
    monkeypatch.chdir(tmp_path)
    configuration = ImportDarknetConfiguration(
        preset="yolov2-tiny-voc", download=True, output=tmp_path / "x.onnx", sizes=(64,)
    )

    report = import_darknet(configuration)

    size = (tmp_path / "yolov2-tiny-voc.weights").stat().st_size
    addresses = ("https://pjreddie.com/media/files/yolov2-tiny-voc.weights",)
    digest = "sha1:24b4bd049fc4fa5f5e95f684a8967e65c625dff9"
    assert asked == [(addresses, Path("yolov2-tiny-voc.weights"), digest, size)]
    assert report.concepts == 20
    tree = OnnxDetector.load(tmp_path / "x.onnx", threads=1).tree
    assert tree.names[-1] == "tvmonitor"
    assert tree.wnids[-1] in packaged_tree()

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from model.metadata import METADATA_KEY, InvalidModelError
from model.runtime import OnnxDetector, default_model_path
from tests.model_files import COLOURS, OBJECTNESS, node, tiny_metadata, tiny_model, tiny_tree, write_tiny_model
from tests.unprivileged import nobodys_folder


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", copies=2)


@pytest.fixture(scope="module")
def detector(path: Path) -> OnnxDetector:
    return OnnxDetector.load(path, threads=1)


def picture(width: int, height: int, **squares: tuple[int, int, int, int]) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    for colour, box in squares.items():
        image.paste(COLOURS[colour], box)
    return image


def square(**squares: tuple[int, int, int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(picture(96, 96, **squares))


def test_a_loaded_detector_knows_its_model(detector: OnnxDetector) -> None:
    assert detector.metadata == tiny_metadata()
    assert detector.tree.digest == tiny_tree().digest
    assert len(detector.trained_tree) == len(detector.metadata.trained)
    assert detector.providers == ("CPUExecutionProvider",)


def test_the_answers_are_in_pixels_of_a_picture_that_is_not_square(detector: OnnxDetector) -> None:
    detections = detector.detect(picture(300, 200, red=(30, 40, 100, 120), blue=(200, 50, 260, 150)))

    assert [detector.tree.names[index] for index in detections.nodes] == ["bicycle", "beagle"]
    assert detections.boxes == pytest.approx(np.array([[200, 50, 260, 150], [30, 40, 100, 120]]), abs=300 / 96 + 1)
    assert detections.objectness == pytest.approx(OBJECTNESS)


def test_every_size_of_the_model_gives_the_same_objects(detector: OnnxDetector) -> None:
    for size in detector.metadata.sizes:
        detections = detector.detect(picture(200, 300, red=(30, 40, 130, 220)), size=size)
        assert detections.boxes == pytest.approx(np.array([[30, 40, 130, 220]]), abs=2 * 300 / size)


def test_options_reach_the_answer(detector: OnnxDetector) -> None:
    image = picture(90, 90, red=(10, 10, 60, 60), blue=(60, 60, 80, 80))

    def names(**options: Any) -> list[str]:
        return [detector.tree.names[index] for index in detector.detect(image, **options).nodes]

    assert sorted(names()) == ["beagle", "bicycle"]
    assert sorted(names(iou_threshold=1)) == ["beagle", "bicycle", "dog", "vehicle"]
    assert sorted(names(iou_threshold=1, threshold=0.8)) == ["beagle", "bicycle"]
    assert names(under=[node("dog")]) == ["beagle"]
    assert len(names(max_detections=1)) == 1
    assert sorted(names(hierarchy_threshold=1)) == ["object", "object"]


def test_nothing_in_the_picture(detector: OnnxDetector) -> None:
    assert len(detector.detect(picture(50, 80))) == 0


def test_a_batch_is_answered_picture_by_picture(detector: OnnxDetector) -> None:
    batch = np.stack([square(red=(8, 8, 40, 40)), square(), square(blue=(0, 0, 9, 9), green=(20, 20, 90, 90))])

    together = detector.run(batch, 0.25)

    assert [len(found) for found in together] == [2, 0, 4]
    for number, found in enumerate(together):
        (alone,) = detector.run(batch[number : number + 1], 0.25)
        assert (found.boxes == alone.boxes).all()
        assert (found.class_logits == alone.class_logits).all()


def test_the_threshold_is_inclusive_and_works_at_both_ends(detector: OnnxDetector) -> None:
    batch = square(red=(8, 8, 40, 40))[None]

    assert len(detector.run(batch, 0.0)[0]) == 2 * len(COLOURS)
    assert len(detector.run(batch, float(np.float32(OBJECTNESS)))[0]) == 1
    assert len(detector.run(batch, 1.0)[0]) == 0


def test_threads_may_share_a_detector(detector: OnnxDetector) -> None:
    pictures = [picture(100, 80, red=(10, 10, 20 + 5 * step, 60)) for step in range(8)]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.detect, pictures * 4))

    for image, detections in zip(pictures * 4, together, strict=True):
        assert (detections.boxes == detector.detect(image).boxes).all()


@pytest.mark.parametrize(
    ("pictures", "threshold", "message"),
    [
        (np.zeros((1, 96, 96, 3), np.float32), 0.5, "uint8"),
        (np.zeros((96, 96, 3), np.uint8), 0.5, r"\[96, 96, 3\]"),
        (np.zeros((1, 96, 64, 3), np.uint8), 0.5, r"must be uint8 \[B, S, S, 3\]"),
        (np.zeros((1, 3, 96, 96), np.uint8), 0.5, r"must be uint8 \[B, S, S, 3\]"),
        (np.zeros((1, 32, 32, 3), np.uint8), 0.5, r"size 32 is not one of \[64, 96, 128\]"),
        (np.zeros((1, 96, 96, 3), np.uint8), 1.5, "0 to 1, not 1.5"),
        (np.zeros((1, 96, 96, 3), np.uint8), float("nan"), "0 to 1, not nan"),
    ],
)
def test_wrong_inputs_are_refused(
    detector: OnnxDetector, pictures: np.ndarray[Any, Any], threshold: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        detector.run(pictures, threshold)


# --- what is not a model file


def refused(path: Path) -> str:
    with pytest.raises(InvalidModelError) as caught:
        OnnxDetector.load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.onnx") == f"there is no model file at {tmp_path / 'none.onnx'}"
    assert "no model file" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\0" * 4096])
def test_a_file_that_is_not_onnx(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)

    assert "is not an ONNX file, or is damaged or cut short" in refused(file)


def test_a_truncated_file(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    file = tmp_path / "model.onnx"
    for length in range(1, len(content), len(content) // 23):
        file.write_bytes(content[:length])
        assert str(file) in refused(file)


def test_an_onnx_file_without_metadata(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(tiny_model().SerializeToString())

    assert f"no metadata under '{METADATA_KEY}'" in refused(file)


def test_metadata_that_is_wrong(tmp_path: Path) -> None:
    text = tiny_metadata().to_json()
    newer = write_tiny_model(tmp_path / "newer.onnx", text=text.replace('version":1', 'version":7', 1))
    broken = write_tiny_model(tmp_path / "broken.onnx", text=text[:-1])

    assert refused(newer) == f"{newer}: the model file has schema version 7; this program reads version 1"
    assert "cannot be read" in refused(broken)


def test_a_graph_that_does_not_fit_its_metadata(tmp_path: Path) -> None:
    fewer = write_tiny_model(tmp_path / "fewer.onnx", tiny_metadata(trained=[0, 2, 3]))

    assert "the graph gives 9 class logits, but 3 nodes are trained" in refused(fewer)


@pytest.mark.parametrize(("kind", "place"), [("input", "threshold"), ("output", "picture")])
def test_a_graph_with_other_inputs_or_outputs(tmp_path: Path, kind: str, place: str) -> None:
    model = tiny_model()
    for operator in model.graph.node:
        for names in (operator.input, operator.output):
            names[:] = ["other" if name == place else name for name in names]
    (value,) = (value for value in getattr(model.graph, kind) if value.name == place)
    value.name = "other"
    helper.set_model_props(model, {METADATA_KEY: tiny_metadata().to_json()})
    onnx.save(model, tmp_path / "model.onnx")

    assert f"the graph's {kind}s are" in refused(tmp_path / "model.onnx")


def test_the_default_model_lies_beside_the_code() -> None:
    assert default_model_path().name == "default.onnx"
    assert (default_model_path().parent / "runtime.py").is_file()


def test_a_file_may_be_replaced_while_it_is_in_use(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    shutil.copy(path, file)
    loaded = OnnxDetector.load(file, threads=1)
    file.write_bytes(b"")

    assert len(loaded.detect(picture(90, 90, red=(10, 10, 60, 60)))) == 1


@pytest.mark.slow
def test_neither_torch_nor_onnx_is_needed() -> None:
    code = "import sys, model.runtime; sys.exit(bool({'torch', 'onnx'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_that_may_not_be_read_is_named_with_whom() -> None:
    with nobodys_folder() as folder:
        path = folder / "secret.onnx"
        path.touch()
        path.chmod(0)
        expected = f"{path} cannot be read: permission denied to user {os.geteuid()}, group {os.getegid()}"
        assert refused(path) == expected
        path.chmod(0o644)
        folder.chmod(0)
        assert refused(path) == expected

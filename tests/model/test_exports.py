import subprocess
import sys

import pytest

import model

EXPORTS = [
    "VERSION",
    "ModelMetadata",
    "Detections",
    "DeviceLostError",
    "InvalidModelError",
    "Letterbox",
    "OnnxDetector",
    "PictureError",
    "PictureTooLargeError",
    "Preprocessing",
    "ProviderUnavailableError",
    "RawDetections",
    "Thresholds",
    "TreeMetadata",
    "UnknownConceptError",
    "UnreadablePictureError",
    "UnsupportedPictureError",
    "WordTree",
    "box_iou",
    "decode_letterboxed",
    "decode_picture",
    "default_model_path",
    "letterbox",
    "lineage_suppression",
    "packaged_tree",
    "postprocess",
]


def test_the_package_promises_exactly_these_names() -> None:
    assert sorted(model.__all__) == sorted(EXPORTS)


@pytest.mark.parametrize("name", EXPORTS)
def test_every_promised_name_is_there(name: str) -> None:
    assert getattr(model, name) is not None


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'detector'"):
        _ = model.detector


@pytest.mark.slow
def test_importing_the_package_loads_neither_torch_nor_onnxruntime() -> None:
    code = "import sys, model; sys.exit(bool({'torch', 'onnxruntime', 'onnx'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

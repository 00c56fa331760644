"""A GPU, as far as it can be told without one."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.metadata import InvalidModelError
from model.onnx_runtime import onnxruntime
from model.runtime import DeviceLostError, OnnxDetector
from model.session import ProviderUnavailableError
from tests.model.test_runtime import square
from tests.model_files import write_tiny_model


def _fail(message: str) -> Exception:
    """Return an error as ONNX Runtime has it for what goes wrong inside."""
    error: Exception = onnxruntime.capi.onnxruntime_pybind11_state.Fail(message)
    return error


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", copies=2)


def test_a_provider_that_is_not_installed(path: Path) -> None:
    with pytest.raises(ProviderUnavailableError, match="has no CUDAExecutionProvider"):
        OnnxDetector.load(path, provider="cuda")


def pretend_cuda_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )


def test_a_gpu_gets_the_libraries_of_the_wheels_first(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def preload() -> None:
        sys.stdout.write("Failed to load libcudart.so\n")
        steps.append("libraries")

    def start(*_args: object, **_options: object) -> _FallenBack:
        steps.append("session")
        return _FallenBack()

    steps: list[str] = []
    pretend_cuda_is_installed(monkeypatch)
    monkeypatch.setattr("onnxruntime.preload_dlls", preload)
    monkeypatch.setattr("onnxruntime.InferenceSession", start)

    with pytest.raises(ProviderUnavailableError):
        OnnxDetector.load(path, provider="cuda")

    assert steps == ["libraries", "session"]
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "Failed to load libcudart.so\n")


def test_a_provider_that_cannot_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda_is_installed(monkeypatch)
    monkeypatch.setattr("onnxruntime.InferenceSession", _FallenBack)

    with pytest.raises(ProviderUnavailableError, match="CUDAExecutionProvider could not start"):
        OnnxDetector.load(path, provider="cuda")


class _FallenBack:
    """What ONNX Runtime does where the CUDA libraries are missing: it takes the CPU without saying so."""

    def __init__(self, *_args: object, **_options: object) -> None:
        pass

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def test_auto_goes_on_without_the_gpu_and_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pretend_cuda_is_installed(monkeypatch)
    real = onnxruntime.InferenceSession
    asked: list[list[tuple[str, dict[str, str]]]] = []

    def without_cuda(file: str, options: Any, providers: list[tuple[str, dict[str, str]]], **others: Any) -> Any:
        asked.append(providers)
        return real(file, options, providers=["CPUExecutionProvider"], **others)

    monkeypatch.setattr("onnxruntime.InferenceSession", without_cuda)

    detector = OnnxDetector.load(path, provider="auto", threads=1, gpu_memory_limit=1000)

    assert detector.providers == ("CPUExecutionProvider",)
    assert not detector.on_gpu
    assert "on the CPU: CUDAExecutionProvider" in caplog.text
    assert asked[0][0] == (
        "CUDAExecutionProvider",
        {
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
            "gpu_mem_limit": "1000",
        },
    )


SOURCE = "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 void onnxruntime::CudaCall(int, int (*)())"
"""How ONNX Runtime begins to tell of a failure."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            RuntimeError(f"{SOURCE} CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=vm ; "),
            "CUDA failure 100: no CUDA-capable device is detected",
        ),
        (RuntimeError(f"{SOURCE} Please install TensorRT libraries\n"), "Please install TensorRT libraries"),
        (ValueError("Unknown option of the provider"), "Unknown option of the provider"),
        (_fail("CUDA failure 2: out of memory ; GPU=0"), "CUDA failure 2: out of memory"),
        (_fail("Available memory of 1 is smaller than requested bytes of 2"), "Available memory of 1 is smaller than"),
        (_fail("Failed to allocate memory for requested buffer of size 2"), "Failed to allocate memory"),
        (_fail(""), None),
        (_fail("Protobuf parsing failed."), None),
    ],
)
def test_a_device_that_is_missing_or_full_is_told_from_a_bad_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str | None
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    pretend_cuda_is_installed(monkeypatch)
    monkeypatch.setattr("onnxruntime.InferenceSession", fail)

    with pytest.raises(InvalidModelError if reason is None else ProviderUnavailableError) as caught:
        OnnxDetector.load(path, provider="cuda")
    expected = f"{path} is not an ONNX file" if reason is None else f"CUDAExecutionProvider could not start: {reason}"
    assert str(caught.value).startswith(expected)


def test_a_failing_provider_is_not_exchanged_in_silence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    real = onnxruntime.InferenceSession

    def start(*arguments: Any, **options: Any) -> Any:
        given.update(options)
        return real(*arguments, **options)

    monkeypatch.setattr("onnxruntime.InferenceSession", start)
    detector = OnnxDetector.load(path)
    assert given["enable_fallback"] == 0
    assert not detector._session._enable_fallback


def test_bound_arrays_give_the_same_answers(path: Path) -> None:
    detector = OnnxDetector.load(path, threads=1)
    bound = OnnxDetector.load(path, threads=1)
    bound.on_gpu = True
    batch = np.stack([square(red=(8, 8, 40, 40)), square(blue=(0, 0, 9, 9))])

    for expected, found in zip(detector.run(batch, 0.25), bound.run(batch, 0.25), strict=True):
        assert (found.boxes == expected.boxes).all()
        assert (found.objectness == expected.objectness).all()
        assert (found.class_logits == expected.class_logits).all()


class _FailingSession:
    """A session whose run raises what ONNX Runtime would."""

    def __init__(self, real: Any, message: str) -> None:
        self._real = real
        self.message = message

    def io_binding(self) -> Any:
        return self._real.io_binding()

    def run_with_iobinding(self, _: Any) -> None:
        raise RuntimeError(self.message)


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0", True),
        ("Non-zero status code returned while running Conv node. CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR", True),
        ("CUDA failure 2: out of memory ; GPU=0", False),
        ("Failed to allocate memory for requested buffer of size 1000", False),
    ],
)
def test_a_lost_gpu_is_told_from_other_failures(path: Path, message: str, lost: bool) -> None:
    broken = OnnxDetector.load(path, threads=1)
    broken.on_gpu = True
    broken._session = _FailingSession(broken._session, message)

    with pytest.raises(RuntimeError) as caught:
        broken.run(square()[None], 0.25)

    assert isinstance(caught.value, DeviceLostError) is lost

"""Imports point one way: yolo9000 -> app -> model <- training; and the service needs no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FORBIDDEN = {
    "yolo9000": {"training", "tests", "torch"},
    "app": {"yolo9000", "training", "tests", "torch"},
    "model": {"yolo9000", "app", "training", "tests", "torch", "fastapi"},
    "training": {"yolo9000", "app", "tests"},
}


def imported(file: Path) -> set[str]:
    """Return the top-level names a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides where it points"
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        assert not imported(file) & FORBIDDEN[package], file.relative_to(ROOT)


@pytest.mark.slow
def test_onnx_runtime_is_imported_in_one_place() -> None:
    """Elsewhere it would be imported before its reports to its makers are switched off."""
    files = [file for package in (*FORBIDDEN, "deploy", "tests") for file in sorted((ROOT / package).rglob("*.py"))]
    users = [file.relative_to(ROOT).as_posix() for file in files if "onnxruntime" in imported(file)]
    assert users == ["model/onnx_runtime.py", "training/export/quantization/library.py"]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["app", "yolo9000", "yolo9000.commands.cli", "app.main"])
def test_the_service_needs_no_torch(module: str) -> None:
    """Every module of the service loads where importing torch, or what only training or an extra needs, fails."""
    absent = (
        *("torch", "onnx", "onnxscript", "safetensors", "pycocotools", "opentelemetry.sdk", "training"),
        *("pyarrow", "ray", "fsspec", "tqdm"),
    )
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r})); import {module}; "
        "print(*sorted(name.partition('.')[0] for name, found in sys.modules.items() if found))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(absent) & set(result.stdout.split())

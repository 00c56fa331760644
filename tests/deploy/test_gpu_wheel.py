"""A wheel is cut, joined, checked and installed."""

import json
import subprocess
import venv
import zipfile
from pathlib import Path

import pytest

from deploy.gpu_wheel import Libraries, WheelError, join, libraries, main, split

NAME = "onnxruntime_gpu-9.9-py3-none-any.whl"
ROOT = Path(__file__).parents[2]


def write_wheel(folder: Path) -> Path:
    """Write a wheel with a module that stands in for onnxruntime, and says that a library is missing."""
    path = folder / NAME
    info = "onnxruntime_gpu-9.9.dist-info"
    module = (
        "__version__ = '9.9'\n"
        "def get_available_providers(): return ['CUDAExecutionProvider', 'CPUExecutionProvider']\n"
        "def preload_dlls(): print('onnxruntime prints what it does not find')\n"
    )
    files = {
        "onnxruntime/__init__.py": module,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 9.9\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    return split(write_wheel(tmp_path), 300)


def test_parts_make_the_wheel(parts: Path, tmp_path: Path) -> None:
    sizes = [path.stat().st_size for path in sorted(parts.glob("part*[0-9]"))]
    assert len(sizes) > 2
    assert set(sizes[:-1]) == {300}
    wheel = join(parts, tmp_path / "there")
    assert wheel.name == NAME
    assert wheel.read_bytes() == (tmp_path / NAME).read_bytes()
    assert [path.name for path in wheel.parent.iterdir()] == [NAME]


def test_parts_that_cannot_be_used_are_all_named(parts: Path) -> None:
    (parts / "part001").unlink()
    (parts / "part002").write_bytes(bytes(300))
    (parts / "part003").write_bytes(b"short")
    with pytest.raises(
        WheelError, match=r"3 of \d+ parts .*: part001 \(missing\), part002 \(damaged\), part003 \(5 of "
    ):
        join(parts)
    assert not (parts / NAME).exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("{", "was not written by `split`"),
        ('{"wheel": "a.whl", "sha256": ""}', "was not written by `split`"),
        ('{"wheel": "../a.whl", "sha256": "", "parts": []}', "names files that `split` would not"),
        (
            '{"wheel": "a.whl", "sha256": "", "parts": [{"name": "/etc/passwd", "size": 1, "sha256": ""}]}',
            "names files that",
        ),
        ('{"wheel": "a.whl", "sha256": "0", "parts": []}', "do not make the wheel"),
    ],
)
def test_an_index_that_is_none(parts: Path, content: str | None, told: str) -> None:
    (parts / "parts.json").unlink() if content is None else (parts / "parts.json").write_text(content)
    with pytest.raises(WheelError, match=told):
        join(parts)


@pytest.mark.slow
def test_it_is_installed_in_the_place_of_the_other(parts: Path, tmp_path: Path) -> None:
    """Into a Python of its own, which has nothing else and asks no registry."""
    venv.create(tmp_path / "python", with_pip=True)
    python = tmp_path / "python" / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "deploy.gpu_wheel", "install", parts], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "onnxruntime-gpu 9.9 does not find all it needs: " in done.stdout
    assert "libonnxruntime_providers_shared.so: cannot open shared object file" in done.stdout
    assert done.stdout.endswith("there is no PyTorch with CUDA\n")
    (parts / "part001").unlink()
    done = subprocess.run(
        [python, "-m", "deploy.gpu_wheel", "install", parts], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "part001 (missing)" in done.stderr


@pytest.mark.slow
def test_what_is_installed_here() -> None:
    found = libraries()
    assert "CPUExecutionProvider" in found.providers
    assert found.sentence()


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Libraries("1.24", ("CUDAExecutionProvider",), "13.0", ""), "onnxruntime-gpu 1.24 finds CUDA and cuDNN"),
        (
            Libraries("1.24", ("CUDAExecutionProvider",), "12.8", "libcublas.so.13: no such file"),
            "onnxruntime-gpu 1.24 does not find all it needs: libcublas.so.13: no such file; PyTorch brings CUDA 12.8",
        ),
        (Libraries("1.24", ("CPU",), None, ""), "onnxruntime 1.24 has no CUDA provider, only CPU"),
    ],
)
def test_what_is_told(found: Libraries, told: str) -> None:
    assert found.sentence() == told


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = write_wheel(tmp_path)
    assert main(["split", str(wheel), "--size", "1"]) == 0
    folder = tmp_path / f"{NAME}.parts"
    assert capsys.readouterr().out == f"{folder}: 1 parts\n"
    assert len(json.loads((folder / "parts.json").read_bytes())["parts"]) == 1
    assert main(["join", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / NAME}\n"
    assert main(["split", str(tmp_path / "nothing.whl")]) == 1
    assert "there is no such wheel" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["split", str(wheel), "--size", "0"])

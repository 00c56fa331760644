"""The programs of examples/, against a real service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app import pictures
from tests.app.servers import serving
from tests.model_files import write_tiny_model

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    model = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")
    with serving("--model", str(model), "--threads", "1") as client:
        yield str(client.base_url)


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_first_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script = str(ROOT / "examples" / "first_picture.py")
    shown = run(tmp_path, sys.executable, script, str(ROOT / "docs" / "dog.jpg"))
    assert "car " in shown
    assert "animals, if it has to be 90 % sure: ['" in shown
    assert (tmp_path / "drawn.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


def test_curl(url: str, tmp_path: Path) -> None:
    (tmp_path / "red.jpg").write_bytes(pictures.red())
    shown = run(tmp_path, "sh", str(ROOT / "examples" / "detect.sh"), url.rstrip("/"), "red.jpg")
    assert '"name":"beagle"' in shown
    assert (tmp_path / "annotated.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


def test_a_client_with_retries(url: str, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(pictures.red())
    shown = run(tmp_path, sys.executable, str(ROOT / "examples" / "client.py"), url, "red.png")
    assert shown.startswith("red.png: beagle 0.")
    assert shown.rstrip().endswith("> beagle")


def test_what_cannot_be_read_is_told(url: str, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"bad")
    command = [sys.executable, str(ROOT / "examples" / "client.py"), url, "bad.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError: bad.png: " in done.stderr


def test_a_batch(url: str, tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.png").write_bytes(pictures.red())
    (tmp_path / "bad.png").write_bytes(b"bad")
    shown = run(tmp_path, sys.executable, str(ROOT / "examples" / "batch.py"), url, ".")
    lines = [json.loads(line) for line in shown.splitlines()]
    assert [line["picture"] for line in lines] == [*(f"{number}.png" for number in range(10)), "bad.png"]
    assert all(line["detections"] for line in lines[:10])
    assert lines[10]["status"] == 415

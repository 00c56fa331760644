"""What an installed release must do: find things in a picture, from the shell, in Python and over HTTP."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx

from deploy.release.environment import Environment
from model.version import VERSION

SECONDS = 120


def detect(environment: Environment, picture: Path, folder: Path) -> str:
    """Run `yolo9000 detect` in a folder, and return what it found."""
    told = subprocess.run(
        [environment.yolo9000, "detect", picture, "--json"],
        cwd=folder, env=_variables(), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return _labels(json.loads(told.stdout)["result"])


def beside(environment: Environment, picture: Path, folder: Path) -> str:
    """Detect from Python in a project that has packages of the names the repository has; return what it found."""
    for name in ("app", "model", "training"):
        project = folder / "project" / name
        project.mkdir(parents=True)
        (project / "__init__.py").write_text("STRANGE = True\n")
    program = (
        "import app, model, training, yolo9000; "
        "assert app.STRANGE and model.STRANGE and training.STRANGE; "
        f"print(yolo9000.Detector().detect({str(picture)!r}).to_json())"
    )
    for command in (["-c", program], ["-m", "yolo9000", "detect", str(picture), "--json"]):
        told = subprocess.run(
            [environment.python, *command],
            cwd=folder / "project", env=_variables(), stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        answer = json.loads(told.stdout)
    return _labels(answer["result"])


def serve(environment: Environment, picture: Path, folder: Path) -> str:
    """Run `yolo9000 serve` in a folder, post a picture and stop it; return what it found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        subprocess.Popen([environment.yolo9000, "serve", "--port", str(port)], cwd=folder, env=_variables()) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client,
    ):
        try:
            _wait(process, client)
            answer = client.post("/detect", content=picture.read_bytes(), headers={"Content-Type": "image/jpeg"})
            assert answer.status_code == httpx.codes.OK, answer.text
            assert client.get("/").status_code == httpx.codes.OK
            assert f'yolo9000_build_info{{version="{VERSION}"}}' in client.get("/metrics").text
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
    assert code == 0, f"exit code {code}"
    return f"{_labels(answer.json())}; stopped with exit code 0"


def _wait(process: "subprocess.Popen[bytes]", client: httpx.Client) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "the service has ended"
        try:
            if client.get("/health/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"not ready after {SECONDS} s")


def _labels(answer: dict[str, list[dict[str, dict[str, str]]]]) -> str:
    labels = sorted({detection["label"]["name"] for detection in answer["detections"]})
    assert labels
    return ", ".join(labels)


def _variables() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("YOLO9000_", "PYTHON"))}
    return {**kept, "YOLO9000_LOG_LEVEL": "warning"}

"""What must hold of the image and of a container made of it; each check returns what it found, or fails."""

import os
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import onnx

from deploy.image.buildah import ROOT, Buildah, Container
from deploy.image.running import Service, run_by_buildah, run_read_only
from model.metadata import METADATA_KEY, ModelMetadata
from model.version import VERSION

LARGEST = {"cpu": 450_000_000}
"""Most bytes the files of an image may have."""

RUNTIMES = {"cpu": "onnxruntime", "gpu": "onnxruntime_gpu"}

EMBEDDED = ROOT / "model" / "default.onnx"

PICTURE = (ROOT / "docs" / "dog.jpg").read_bytes()
JPEG = {"Content-Type": "image/jpeg"}

ON_A_CPU = {"YOLO9000_PROVIDER": "cpu"}
"""The image for GPUs asks for one; its other parts can be tried without."""


def configuration(container: Container) -> str:
    """The image says how it wants to be run."""
    given = container.configuration
    user, _, group = given["User"].partition(":")
    assert int(user) > 0, "Kubernetes must be able to see that the user is not root"
    assert int(group) > 0
    assert given["StopSignal"] == "SIGTERM"
    assert given["Healthcheck"]["Test"] == ["CMD", "python3", "/opt/healthcheck.py"]
    assert given["ExposedPorts"] == {"8000/tcp": {}}
    assert container.command == ["tini", "--", "yolo9000", "serve"]
    labels = given["Labels"]
    assert labels["org.opencontainers.image.version"] == VERSION
    assert re.fullmatch(r"[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    return f"user {given['User']}, version {VERSION}"


def one_onnx_runtime(container: Container, target: str) -> str:
    """ONNX Runtime is there once: its two distributions would overwrite each other."""
    site = "opt/venv/lib/python3*/site-packages"
    found = [path.name for path in container.files.glob(f"{site}/onnxruntime*.dist-info")]
    (one,) = found
    name, _, version = one.removesuffix(".dist-info").partition("-")
    assert name == RUNTIMES[target], found
    return f"{name} {version}"


def size(container: Container, base: Container, target: str) -> str:
    """The image is small enough."""
    whole, below = _bytes(container.files), _bytes(base.files)
    most = LARGEST.get(target)
    assert most is None or whole < most, f"{whole} bytes, of {most} allowed"
    return f"{whole / 1e6:.0f} MB, of which the base {below / 1e6:.0f} MB"


def nothing_is_the_users(container: Container) -> str:
    """No file of the image belongs to the service's user or may be written by it; only folders like /tmp may."""
    user, group = map(int, container.configuration["User"].split(":"))
    count = 0
    for path, status in _walk(container.files):
        count += 1
        where = path.relative_to(container.files)
        assert (status.st_uid, status.st_gid) != (user, group), where
        if not stat.S_ISLNK(status.st_mode) and status.st_mode & stat.S_IWOTH:
            assert status.st_mode & stat.S_ISVTX or where.parts[0] == "dev", f"{where} may be written by everybody"
    return f"{count} files"


def answers(buildah: Buildah, container: Container) -> str:
    """Run by buildah: ready, healthy, not root, finds things in a picture, and SIGTERM drains it."""
    with run_by_buildah(buildah, container, ON_A_CPU) as service:
        seconds = service.until_ready()
        found = _detect(service)
        user = _identity(service.pid("yolo9000"))
        health = buildah(
            "run", "--isolation", "chroot", f"--env=YOLO9000_PORT={service.client.base_url.port}", container.name, "--",
            *container.configuration["Healthcheck"]["Test"][1:],
        )  # fmt: skip
        assert '"ready"' in health
        memory = _memory(service.pid("yolo9000"))
        _drain(service, service.pid("tini"))
    assert user == container.configuration["User"]
    return f"ready after {seconds:.1f} s, {found}, user {user}, {memory}, drained with exit code 0"


def read_only_root(container: Container) -> str:
    """In namespaces of its own: the same on a root that cannot be written, tini being PID 1, without any capability."""
    with run_read_only(container, ON_A_CPU) as service:
        service.until_ready()
        found = _detect(service)
        tini, server = service.pid("tini"), service.pid("yolo9000")
        status = _status(server)
        assert _status(tini)["NSpid"].split()[-1] == "1"
        assert _identity(server) == container.configuration["User"]
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        for folder in ("/", "/tmp", "/models", "/opt/yolo9000"):  # noqa: S108 - the container's
            written = subprocess.run(
                ["nsenter", f"--target={server}", "--mount", "--root", "touch", f"{folder}/x"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert "Read-only file system" in written.stderr, f"{folder}: {written.stderr}"
        _drain(service, tini)
    return f"{found}, nothing can be written, even by root, tini is PID 1, no capabilities"


def early_signal(container: Container) -> str:
    """SIGTERM is not lost while Python still starts, which is before the service has a handler for it."""
    with run_read_only(container, ON_A_CPU) as service:
        tini = service.pid("tini")
        service.pid("yolo9000")
        began = time.monotonic()
        os.kill(tini, signal.SIGTERM)
        code = service.process.wait(30)
    assert code in (0, 128 + signal.SIGTERM), service.output
    return f"ended {time.monotonic() - began:.1f} s after it"


def models_of_a_folder(buildah: Buildah, container: Container) -> str:
    """What is mounted at /models is served; its default.onnx in the place of the embedded model."""
    with tempfile.TemporaryDirectory(dir=buildah.folder) as folder:
        models = Path(folder)
        models.chmod(0o755)
        for name in ("default.onnx", "street.onnx"):
            _write_with_version(models / name, "other")
            (models / name).chmod(0o644)
        with run_read_only(container, ON_A_CPU, models) as service:
            service.until_ready()
            named = {model["name"] for model in service.client.get("/models").json()["items"]}
            assert named == {"default", "street"}
            assert service.client.get("/model").json()["version"] == "other"
            _detect(service, "?model=street")
    return "default.onnx answers in the place of the embedded model, street.onnx by its name"


def gpu_libraries(container: Container) -> str:
    """In the image for GPUs the CUDA provider finds every library but the driver's, which the host brings."""
    program = (
        "import ctypes, pathlib, onnxruntime as o; o.preload_dlls();"
        "ctypes.CDLL(pathlib.Path(o.__file__).parent / 'capi' / 'libonnxruntime_providers_shared.so');"
        "ctypes.CDLL(pathlib.Path(o.__file__).parent / 'capi' / 'libonnxruntime_providers_cuda.so')"
    )
    result = subprocess.run(
        ["chroot", str(container.files), "/opt/venv/bin/python", "-c", program],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "libcuda.so.1: cannot open shared object file" in result.stderr, result.stderr
    return "all but the driver's are found"


def _write_with_version(path: Path, version: str) -> None:
    """Write the embedded model as another version of itself."""
    model = onnx.load(EMBEDDED)
    (card,) = (each for each in model.metadata_props if each.key == METADATA_KEY)
    card.value = ModelMetadata.from_json(card.value).model_copy(update={"version": version}).to_json()
    onnx.save(model, path)


def _detect(service: Service, query: str = "") -> str:
    answer = service.client.post(f"/detect{query}", content=PICTURE, headers=JPEG)
    assert answer.status_code == httpx.codes.OK, answer.text
    labels = {detection["label"]["name"] for detection in answer.json()["detections"]}
    assert labels
    return f"found {', '.join(sorted(labels))}"


def _drain(service: Service, pid: int) -> None:
    """Send SIGTERM while a request is half-way: that is answered, new ones are refused, and all ends well."""
    url = service.client.base_url
    head = b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection((url.host, url.port or 0), 60) as upload:
        upload.sendall(head % len(PICTURE) + PICTURE[:-1])
        while "yolo9000_requests_in_progress 2.0" not in service.client.get("/metrics").text:  # the upload, and this
            time.sleep(0.05)
        os.kill(pid, signal.SIGTERM)
        while service.client.get("/health/ready").status_code != httpx.codes.SERVICE_UNAVAILABLE:
            time.sleep(0.05)
        upload.sendall(PICTURE[-1:])
        answer = upload.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200"), f"{answer!r}\n{service.output}"
    code = service.process.wait(60)
    assert code == 0, f"exit code {code}:\n{service.output}"


def _identity(pid: int) -> str:
    """Return the user and the group that a process runs as."""
    status = _status(pid)
    return f"{status['Uid'].split()[1]}:{status['Gid'].split()[1]}"


def _memory(pid: int) -> str:
    return f"{int(_status(pid)['VmRSS'].split()[0]) / 1000:.0f} MB of memory"


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _bytes(folder: Path) -> int:
    return sum(status.st_size for _, status in _walk(folder) if stat.S_ISREG(status.st_mode))


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(where, name)
            yield path, path.lstat()

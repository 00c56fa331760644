"""Nothing leaves the machine: no command asks a name server or another host, or writes a file nobody asked for.

Every command runs as a stranger runs it: a home folder of its own, and neither `CI` nor any switch of a library's
telemetry set, since some libraries are silent where `CI` is. strace sees every socket of the process and its children.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.app.servers import free_port
from tests.model_files import write_tiny_model
from tests.training.detection_sets import Drawn, write_pictures
from tests.training.tiny_data import BEAGLE, DOG

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
STRACE = shutil.which("strace")

LONG_ENOUGH = 40.0
"""Seconds the server stays: a library that collects what it sends wakes up within them."""

PATIENCE = 300.0
"""Seconds any command may take; strace and a busy machine make them slow."""

KEPT_VARIABLES = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
"""What the commands see of this process's environment: no switch of any library is among it."""

NAME_SERVER_PORT = 53
ADDRESS = re.compile(
    r"sin6?_port=htons\((?P<port>\d+)\).*?"
    r'(?:sin_addr=inet_addr\("(?P<four>[^"]*)"\)|inet_pton\(AF_INET6, "(?P<six>[^"]*)")'
)


@dataclass(frozen=True)
class Traced:
    """A command under strace, with a home, a working and a temporary folder of its own."""

    process: "subprocess.Popen[str]"
    folder: Path
    trace: Path


def start(folder: Path, *command: str) -> Traced:
    """Start a command of ours under strace."""
    assert STRACE is not None
    home, temporary, trace = (folder / name for name in ("home", "temporary", "trace"))
    for made in (folder, home, temporary):
        made.mkdir()
    environment: dict[str, str] = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment |= {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    watched = "trace=connect,sendto,sendmsg,sendmmsg"
    process = subprocess.Popen(
        [STRACE, "-f", "--seccomp-bpf", "-qq", "-e", watched, "-o", str(trace), sys.executable, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    return Traced(process, folder, trace)


def attempts(trace: str) -> list[str]:
    """Return the lines of a trace that speak to a name server, or to anything beyond the loopback addresses."""
    found = []
    for line in trace.splitlines():
        for address in ADDRESS.finditer(line):
            host = address["four"] or address["six"] or ""
            local = host.startswith("127.") or host in {"::1", "::ffff:127.0.0.1"}
            # a name server may well listen on a loopback address
            if not local or int(address["port"]) == NAME_SERVER_PORT:
                found.append(line)
    return found


def written(folder: Path) -> set[str]:
    """Return the files below a command's folder, the trace aside."""
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return files - {"trace"}


def finish(traced: Traced) -> str:
    """Wait for a command to end well; return what it printed."""
    output, _ = traced.process.communicate(timeout=PATIENCE)
    assert traced.process.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A photo, a model file, a labelled set, and a trained run."""
    folder = tmp_path_factory.mktemp("material")
    set_folder = folder / "set"
    write_pictures(set_folder, [[Drawn((10, 10, 40, 40), "green", "dog")]] * 2)
    photo = folder / "photo.jpg"
    shutil.copy(ROOT / "docs" / "dog.jpg", photo)
    pictures = folder / "pictures"
    pictures.mkdir()
    shutil.copy(photo, pictures)
    return {
        "model": write_tiny_model(folder / "tiny.onnx"),
        "photo": photo,
        "pictures": pictures,
        "set": set_folder,
        "run": trained_classifier(folder),
    }


def trained_classifier(folder: Path) -> Path:
    """Train a classifier of two kinds for one step."""
    from training.commands.pretrain import train_classifier
    from training.configurations.pretrain import PretrainConfiguration

    for wnid, colour in ((DOG, "red"), (BEAGLE, "blue")):
        (folder / "labelled" / wnid).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (32, 32), colour).save(folder / "labelled" / wnid / f"{number}.png")
    configuration = {
        "output": folder / "run",
        "classification": [{"folder": folder / "labelled"}],
        "network": {"name": "tiny"},
        "sizes": [32],
        "optimizer": {"epochs": None, "steps": 1, "batch": 2},
        "loop": {"workers": 0, "precision": "float32", "tensorboard": False},
    }
    assert train_classifier(PretrainConfiguration.model_validate(configuration)).finished
    return folder / "run"


@pytest.fixture(scope="module")
def quiet_lives(material: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Traced]]:
    """Every command, all at once; the server answers a request, stays a while, and is told to stop."""
    if STRACE is None:
        pytest.skip("strace is not installed (Debian's package strace)")
    tried = subprocess.run([STRACE, "-qq", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()}")
    folder, model, port = tmp_path_factory.mktemp("quiet"), str(material["model"]), free_port()
    photo, pictures = str(material["photo"]), str(material["pictures"])
    commands = {
        "serve": ("-m", "yolo9000", "serve", "--port", str(port), "--model", model),
        "detect": ("-m", "yolo9000", "detect", photo, "--model", model, "--save", "annotated.jpg"),
        "classes": ("-m", "yolo9000", "classes", "dog"),
        "label": ("-m", "yolo9000", "label", pictures, "--output", "labels", "--model", model, "--processes", "1"),
        "evaluate": (
            *("-m", "training", "evaluate", "--model", model, "--data", str(material["set"])),
            *("--sets", "tiny", "--output", "report.json", "--html", "report.html"),
        ),
        "export": ("-m", "training", "export", "--run", str(material["run"]), "--output", "exported.onnx"),
    }
    lives = {name: start(folder / name, *command) for name, command in commands.items()}
    try:
        serve_and_stop(lives["serve"], port, Path(photo).read_bytes())
        yield lives
    finally:
        for traced in lives.values():
            if traced.process.poll() is None:
                os.killpg(traced.process.pid, signal.SIGKILL)
                traced.process.wait()
            assert traced.process.stdout is not None
            traced.process.stdout.close()


def serve_and_stop(server: Traced, port: int, photo: bytes) -> None:
    """Post a picture once the server is ready, wait for senders that wait, and stop it."""
    began = time.monotonic()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        while True:
            assert server.process.poll() is None
            assert time.monotonic() - began < PATIENCE
            try:
                if client.get("/health/ready").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        ready = time.monotonic()
        answer = client.post("/detect", content=photo, headers={"Content-Type": "image/jpeg"})
        assert answer.status_code == 200
        assert client.get("/docs").status_code == 200
    time.sleep(max(0.0, ready + LONG_ENOUGH - time.monotonic()))
    (python,) = children(server.process.pid)
    os.kill(python, signal.SIGTERM)


def children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in text.split()]


ASKED_FOR = {
    "serve": set(),
    "detect": {"annotated.jpg"},
    "classes": set(),
    "evaluate": {"report.json", "report.html"},
    "export": {"exported.onnx"},
}


@pytest.mark.parametrize("name", [*ASKED_FOR, "label"])
def test_no_command_asks_another_host_or_writes_what_nobody_asked_for(
    name: str, quiet_lives: dict[str, Traced]
) -> None:
    traced = quiet_lives[name]
    finish(traced)
    assert not attempts(traced.trace.read_text())
    files = written(traced.folder)
    if name == "label":
        assert any(file.endswith(".parquet") for file in files)
        files = {file for file in files if not file.startswith("labels/")}
    assert files == ASKED_FOR.get(name, set())


def test_the_trap_catches_what_it_should(tmp_path: Path) -> None:
    """A datagram to another host, a name server's port on this one; not a server of this machine."""
    if STRACE is None:
        pytest.skip("strace is not installed (Debian's package strace)")
    program = (
        "import contextlib, socket\n"
        "for address in (('192.0.2.1', 9), ('127.0.0.53', 53), ('127.0.0.1', 9), ('::1', 9), ('2001:db8::1', 9)):\n"
        "    family = socket.AF_INET6 if ':' in address[0] else socket.AF_INET\n"
        "    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:\n"
        "        one.connect(address)\n"
    )
    traced = start(tmp_path / "trap", "-c", program)
    finish(traced)
    caught = attempts(traced.trace.read_text())
    assert ["192.0.2.1" in caught[0], "127.0.0.53" in caught[1], "2001:db8::1" in caught[2], len(caught)] == [
        *(True, True, True),
        3,
    ]

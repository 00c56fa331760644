"""The service in a container, run in two ways: by buildah, and in namespaces of its own on a read-only root."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.image.buildah import Buildah, Container

READY_SECONDS = 120
END_SECONDS = 60

MARK = "IMAGE_CHECK"
"""A variable by which the processes of a container can be told from all others."""

# The kernel keeps what chroot isolation cannot: the root is read-only, and the first process is PID 1 of its namespace.
_IN_NAMESPACES = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
if [ -n "$3" ]; then mount --bind "$3" "$1/models"; mount -o remount,bind,ro "$1/models"; fi
root=$1 user=$2
shift 3
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
"""


@dataclass
class Service:
    """A service that runs in a container.

    Attributes:
        process: what started it; it ends when the service does, with the same exit code.
        client: speaks to it.
        lines: what it has written.
    """

    process: "subprocess.Popen[str]"
    client: httpx.Client
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        """All it has written."""
        return "".join(self.lines)

    def pid(self, program: str) -> int:
        """Return the process of the container that runs this program, as this machine numbers it."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            for pid in _processes(self.client.base_url.port or 0):
                if program in _words(pid)[:2]:  # a script comes after its interpreter
                    return pid
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"{program} does not run; the container said:\n{self.output}")

    def until_ready(self) -> float:
        """Wait until the service can answer; return for how many seconds."""
        began = time.monotonic()
        while time.monotonic() - began < READY_SECONDS:
            assert self.process.poll() is None, f"the service has ended:\n{self.output}"
            try:
                if self.client.get("/health/ready").status_code == httpx.codes.OK:
                    return time.monotonic() - began
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready after {READY_SECONDS} s:\n{self.output}")


@contextmanager
def run_by_buildah(
    buildah: Buildah, container: Container, variables: Mapping[str, str], models: Path | None = None
) -> Iterator[Service]:
    """Run the image's command with `buildah run --isolation chroot`; `models` becomes /models."""
    port = free_port()
    given = {**variables, **_on_loopback(port)}
    options = [f"--env={name}={value}" for name, value in given.items()]
    if models is not None:
        options.append(f"--volume={models}:/models:ro")
    command = [*buildah.prefix, "run", "--isolation", "chroot", *options, container.name, "--", *container.command]
    with _service(command, port, None) as service:
        yield service


@contextmanager
def run_read_only(container: Container, variables: Mapping[str, str], models: Path | None = None) -> Iterator[Service]:
    """Run the image's command as PID 1 of a namespace, on a root that cannot be written, without new privileges."""
    port = free_port()
    given = {**container.environment, **variables, **_on_loopback(port)}
    user = container.configuration["User"]
    shell = ["sh", "-c", _IN_NAMESPACES, "sh", str(container.files), user, str(models or ""), *container.command]
    with _service(["unshare", "--mount", "--pid", "--fork", "--kill-child", *shell], port, given) as service:
        yield service


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _on_loopback(port: int) -> dict[str, str]:
    return {"YOLO9000_HOST": "127.0.0.1", "YOLO9000_PORT": str(port), MARK: str(port)}


@contextmanager
def _service(command: list[str], port: int, environment: Mapping[str, str] | None) -> Iterator[Service]:
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        service = Service(process, client)
        assert process.stdout is not None
        reader = threading.Thread(target=service.lines.extend, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            yield service
        finally:
            for pid in _processes(port):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait(END_SECONDS)
            reader.join(10)


def _processes(port: int) -> list[int]:
    """Return the processes that carry the mark of this run, whoever started them; the oldest first."""
    mark = f"{MARK}={port}"
    running = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in sorted(running) if mark in _read(Path(f"/proc/{pid}/environ")).split("\0")]


def _words(pid: int) -> list[str]:
    return [Path(word).name for word in _read(Path(f"/proc/{pid}/cmdline")).split("\0")]


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # the process has ended
        return ""

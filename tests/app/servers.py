"""A real server, started as a user starts it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0  # a busy machine may take that long to import what the server needs


@dataclass(frozen=True)
class Running:
    """A server process with a client that speaks to it, and the lines it has written."""

    process: "subprocess.Popen[str]"
    client: httpx.Client
    lines: list[str]

    @property
    def output(self) -> str:
        return "".join(self.lines)


def serve_command(port: int, *options: str) -> list[str]:
    """Return the command that starts the service at a port."""
    return [sys.executable, "-m", "yolo9000", "serve", "--port", str(port), *options]


@contextmanager
def serving(*options: str) -> Iterator[httpx.Client]:
    """Run `python -m yolo9000 serve` on a free port of 127.0.0.1 and give a client once it is ready."""
    with running(*options) as server:
        yield server.client


@contextmanager
def running(
    *options: str, environment: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> Iterator[Running]:
    """The same, with the process: it may have been told to stop meanwhile, and must end with exit code 0.

    Args:
        options: of `yolo9000 serve`.
        environment: further variables.
        before: a command that runs the server, such as `prlimit` with its options.
    """
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("YOLO9000_")}
    command = [*before, *serve_command(port, *options)]
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**kept, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        server = Running(process, client, [])
        assert process.stdout is not None
        reader = threading.Thread(target=server.lines.extend, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            _wait_until_ready(server)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            reader.join(10)
        assert "Traceback" not in server.output, server.output
        assert "Finished server process" in server.output, server.output
        assert code == 0, server.output


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _wait_until_ready(server: Running) -> None:
    end = time.monotonic() + START_SECONDS
    client = server.client
    while time.monotonic() < end:
        assert server.process.poll() is None, server.output
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"The server was not ready after {START_SECONDS:.0f} s.")

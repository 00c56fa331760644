"""A real server, started as a user starts it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0  # a busy machine may take that long to import what the server needs


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready, and a client that speaks to it."""

    client: httpx.Client
    process: "subprocess.Popen[bytes]"


@contextmanager
def serving(*options: str) -> Iterator[httpx.Client]:
    """Run `python -m app serve` on a free port of 127.0.0.1 and give a client once it is ready."""
    with running(*options) as server:
        yield server.client


@contextmanager
def running(*options: str) -> Iterator[RunningServer]:
    """Run a server as `serving` does; give its process too. In the end it must stop as it is told, without a fault."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("YOLO9000_")}
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), *options]
    # A file, not a pipe: nobody would empty a pipe while the server runs, and a full one would stop it.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)

        def output() -> str:
            log.seek(0)
            return log.read().decode(errors="replace")

        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                _wait_until_ready(client, process, output)
                yield RunningServer(client, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert "Traceback" not in output(), output()
        assert "Finished server process" in output(), output()


def _wait_until_ready(client: httpx.Client, process: "subprocess.Popen[bytes]", output: Callable[[], str]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, output()
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"The server was not ready after {START_SECONDS:.0f} s.")

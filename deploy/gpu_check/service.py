"""The service as users start it, in a process of its own, with clients that keep it busy."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from deploy.gpu_check.report import CheckError
from deploy.image.running import free_port

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 120
STOP_SECONDS: Final = 60
CLIENTS: Final = 8


@dataclass(frozen=True)
class Service:
    """A service that runs.

    Attributes:
        process: its own.
        client: speaks to it.
        log: what it writes.
    """

    process: "subprocess.Popen[bytes]"
    client: httpx.Client
    log: Path

    def last_words(self) -> str:
        """Return the last line it wrote."""
        return (self.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]

    def post(self, picture: bytes) -> httpx.Response:
        """Ask it about a picture."""
        return self.client.post("/detect", content=picture, headers={"Content-Type": "image/jpeg"})

    def tell_to_stop(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """Wait until it has ended."""
        return self.process.wait(STOP_SECONDS)

    def until(self, condition: Callable[[], bool], seconds: float, what: str) -> float:
        """Wait until something holds; return the seconds that took.

        Raises:
            CheckError: it did not in time, or the service ended.
        """
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if self.process.poll() is not None:
                raise CheckError(f"the service has ended: {self.last_words()}")
            with suppress(httpx.TransportError):
                if condition():
                    return time.monotonic() - began
            time.sleep(0.05)
        raise CheckError(f"{what} within {seconds:g} s: {self.last_words()}")


@dataclass(frozen=True)
class Reply:
    """An answer: its status, 0 for a connection that ended before it; and when the request began."""

    status: int
    began: float


def command(port: int, *options: str, module: str = "yolo9000") -> list[str]:
    """Return what starts the service at a port."""
    return [sys.executable, "-m", module, "serve", "--port", str(port), *options]


def environment() -> dict[str, str]:
    """Return the variables of this process without settings of the service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("YOLO9000_")}


@contextmanager
def serving(*options: str, module: str = "yolo9000") -> Iterator[Service]:
    """Start the service and wait until it is ready; it has ended after the block.

    Args:
        options: of `yolo9000 serve`.
        module: what is run instead of `yolo9000`, with the same options.

    Raises:
        CheckError: it does not start.
    """
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "log").open("wb") as log,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client,
        subprocess.Popen(
            command(port, *options, module=module),
            cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
        ) as process,
    ):  # fmt: skip
        service = Service(process, client, Path(log.name))
        try:
            service.until(lambda: client.get("/health/ready").is_success, START_SECONDS, "not ready")
            yield service
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def busy(service: Service, pictures: Sequence[bytes]) -> Iterator[list[Reply]]:
    """Ask a service about pictures, again and again, with several clients at once, until the block ends.

    A client that got no picture answered waits for a moment, and goes on.
    """
    replies: list[Reply] = []
    done = threading.Event()

    def ask(number: int) -> None:
        while not done.is_set():
            began = time.monotonic()
            try:
                status = service.post(pictures[number % len(pictures)]).status_code
            except httpx.TransportError:
                status = 0
            replies.append(Reply(status, began))
            number += CLIENTS
            if status != httpx.codes.OK:
                time.sleep(0.02)

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield replies
    finally:
        done.set()
        for client in clients:
            client.join()

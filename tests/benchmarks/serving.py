"""Servers as contenders: started as users start them, and asked by a few clients at once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter

from tests.benchmarks.machine import shared_out_megabytes
from tests.benchmarks.worker import ROOT, ContenderError
from tests.proofs.clients import Client, Reply, load

START_SECONDS = 120
NOT_READY = 503
BOUNDARY = "benchmark"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@dataclass(frozen=True)
class Served:
    """A server that answers.

    Attributes:
        process: its first process.
        port: of 127.0.0.1.
        path: where it takes pictures, in a form.
        first_answer: seconds from the start of the process to its first answer.
    """

    process: subprocess.Popen[bytes]
    port: int
    path: str
    body: bytes
    first_answer: float

    @property
    def megabytes(self) -> float:
        """What all its processes have resident now, in MB; pages they share count once."""
        return shared_out_megabytes(self.process.pid)

    def seconds_a_request(self, clients: int, seconds: float) -> float:
        """Keep it busy and return the seconds from one answer to the next."""
        replies: list[Reply] = []
        asyncio.run(self._load(clients, seconds, replies))
        wrong = [reply for reply in replies if reply.status != 200]
        if wrong or len(replies) < 2:
            raise ContenderError(f"{len(wrong)} of {len(replies)} requests failed")
        ends = sorted(reply.ended for reply in replies)
        return (ends[-1] - ends[0]) / (len(ends) - 1)

    async def _load(self, clients: int, seconds: float, replies: list[Reply]) -> None:
        async with load(self.port, self.body, replies, clients, path=self.path, content_type=FORM_TYPE):
            await asyncio.sleep(seconds)


def form(picture: Path) -> bytes:
    """Return a picture as a form with the field `image`."""
    disposition = 'Content-Disposition: form-data; name="image"; filename="a.jpg"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
    return head.encode() + picture.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()


@contextmanager
def ours(
    folder: Path, model: Path, picture: Path, threshold: float, *options: str, size: int | None = None
) -> Iterator[Served]:
    """Start the service, and ask it at the model's default size or another."""
    command = [sys.executable, "-m", "yolo9000", "serve", "--model", str(model), *options]
    path = f"/detect?threshold={threshold!r}" + (f"&size={size}" if size else "")
    with started(command, folder / "service.log", path, picture) as served:
        yield served


@contextmanager
def litserve(folder: Path, model: Path, picture: Path, threshold: float, session: str) -> Iterator[Served]:
    """Start LitServe around the same model and the same code for what comes before and after it.

    Args:
        folder: for its log.
        model, picture, threshold: what it serves, and is asked.
        session: see `tests.benchmarks.litserve_service`.
    """
    command = [sys.executable, "-m", "tests.benchmarks.litserve_service", str(model), repr(threshold), session]
    with started(command, folder / f"litserve-{session}.log", "/predict", picture) as served:
        yield served


@contextmanager
def started(command: Sequence[str], log: Path, path: str, picture: Path) -> Iterator[Served]:
    """Start a server, wait for its first answer, and end it with all it has started.

    Args:
        command: takes `--port` besides.
        log: where its output goes.
        path: where it takes pictures, in a form.
        picture: which it is asked about.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    began = perf_counter()
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=ROOT,
            # As users start it: the first start leaves Python's compiled files behind.
            env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that what it has started can be ended with it
        ) as process,
    ):
        try:
            body = form(picture)
            _wait_for_answer(process, port, path, body, log)
            yield Served(process, port, path, body, perf_counter() - began)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):  # LitServe leaves processes behind
                os.killpg(process.pid, signal.SIGKILL)


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, path: str, body: bytes, log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        if process.poll() is not None:
            raise ContenderError(_last_line(log))
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": FORM_TYPE})
        try:
            with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:  # noqa: S310 - our own address
                answer.read()
        except urllib.error.HTTPError as error:
            if error.code != NOT_READY:
                raise ContenderError(f"it answers {error.code}; its log ends: {_last_line(log)}") from error
            time.sleep(0.01)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.01)
        else:
            return
    raise ContenderError(f"no answer within {START_SECONDS} s")


def _last_line(log: Path) -> str:
    return log.read_text(errors="replace").strip().rpartition("\n")[2]


def one_request(served: Served) -> float:
    """Return the seconds of one request to an idle server over a connection that is kept."""
    return sorted(seconds_of_requests(served, 10))[5]


def seconds_of_requests(served: Served, count: int) -> list[float]:
    """Ask an idle server again and again over a connection that is kept, and time each request but the first two."""

    async def ask() -> list[float]:
        client = Client(served.port)
        taken = []
        try:
            for _ in range(count + 2):
                reply = await client.post(served.body, served.path, FORM_TYPE)
                if reply.status != 200:
                    raise ContenderError(f"the service answered {reply.status}")
                taken.append(reply.seconds)
        finally:
            client.close()
        return taken[2:]

    return asyncio.run(ask())


@contextmanager
def http_alone(folder: Path, model: Path, picture: Path, kind: str) -> Iterator[Served]:
    """Start one of the servers of `tests.benchmarks.http_alone`."""
    command = [sys.executable, "-m", "tests.benchmarks.http_alone", kind, str(model)]
    with started(command, folder / f"http-{kind}.log", "/detect", picture) as served:
        yield served

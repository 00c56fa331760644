import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from app.label.run import run
from app.label.workers.job import Order
from tests.app.label.archives import fill, plan

pytestmark = pytest.mark.slow


def started(*sent: Any) -> "tuple[subprocess.Popen[bytes], Connection[Any, Any]]":
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "app.label.workers.worker", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    connection: Connection[Any, Any] = Connection(ours.detach())
    for what in sent:
        connection.send(what)
    return process, connection


def test_it_works_through_ctrl_c_and_ends_with_whoever_gives_the_orders(tmp_path: Path, tiny_model: Path) -> None:
    fill(tmp_path / "source", 3)
    ready, _ = plan(tmp_path / "source", tmp_path / "output", tiny_model, shard_size=3)
    run(ready, _)
    process, connection = started(ready.job, Order(0))
    with process, connection:
        assert [connection.recv() for _ in range(3)] == [("picture", 0), ("picture", 1), ("picture", 2)]
        process.send_signal(signal.SIGINT)
        kind, summary = connection.recv()
        assert (kind, summary.pictures) == ("done", 3)
        connection.send(Order(0))
        assert connection.recv() == ("picture", 0)
        connection.close()
        assert process.wait(60) == 0


def test_it_says_why_it_cannot_begin(tmp_path: Path, tiny_model: Path) -> None:
    job = plan(tmp_path, tmp_path / "output", tiny_model)[0].job
    tiny_bundle_gone = type(job)(**{**vars(job), "model": tmp_path / "gone.onnx"})
    process, connection = started(tiny_bundle_gone)
    with process, connection:
        assert connection.recv() == ("failed", f"there is no model file at {tmp_path}/gone.onnx")
        assert process.wait(60) == 0

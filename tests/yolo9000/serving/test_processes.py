"""Several processes at one port, started as a user starts them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.access.keys import make_key
from tests.app import pictures
from tests.app.servers import ROOT, Running, free_port, running, serve_command

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="several processes at one port need Linux"),
]


@pytest.fixture
def server(tiny_model: Path) -> Iterator[Running]:
    with running("--model", str(tiny_model), "--processes", "3") as server:
        until(lambda: len(serving_processes(server)) == 3, server)
        yield server


def until(holds: Callable[[], bool], server: Running, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, server.output
        time.sleep(0.05)


def serving_processes(server: Running) -> list[int]:
    """Return the children that listen at the port."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(child) for child in children if listens(int(child), server)]


def listens(pid: int, server: Running) -> bool:
    port = f":{server.client.base_url.port:04X}"
    try:
        inodes = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
        lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    except OSError:
        return False
    return any(line[1].endswith(port) and line[3] == "0A" and f"socket:[{line[9]}]" in inodes for line in lines)


def ask(server: Running, **headers: str) -> httpx.Response:
    """Ask over a connection of its own, which any of the processes may get."""
    address = server.client.base_url.join("/detect")
    return httpx.post(address, content=pictures.red(), headers=headers, timeout=60, trust_env=False)


def test_all_of_them_answer_and_their_metrics_are_one(server: Running) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(server), range(60)))
    assert {answer.status_code for answer in answers} == {200}
    count = 'yolo9000_request_duration_seconds_count{method="POST",route="/detect",status="200"} 60.0'
    assert all(count in server.client.get("/metrics").text for _ in range(5))
    assert 'yolo9000_build_info{version="' in server.client.get("/metrics").text
    assert server.client.get("/model").json()["processor"]["processes"] == 3


def test_one_that_is_killed_is_started_anew(server: Running) -> None:
    before = serving_processes(server)
    os.kill(before[1], signal.SIGKILL)
    until(lambda: len(serving_processes(server)) == 3 and before[1] not in serving_processes(server), server)
    assert "ended by signal 9; starting it anew" in server.output
    assert {ask(server).status_code for _ in range(20)} == {200}


def test_they_drain_together(server: Running) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, server) for _ in range(12)]
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        codes = set()
        for answer in answers:
            try:
                codes.add(answer.result().status_code)
            except httpx.TransportError:  # it came when nobody listened any more
                codes.add(0)
    assert codes <= {200, 503, 0}
    assert server.output.count("Draining") == 3


def test_they_end_when_what_watches_over_them_is_killed(tiny_model: Path) -> None:
    port = free_port()
    command = serve_command(port, "--model", str(tiny_model), "--processes", "2")
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "Listening" not in process.stderr.readline():
            assert process.poll() is None
        process.kill()
        process.stderr.read()  # until all of them have ended
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False)


def test_a_key_has_one_limit_for_all(tiny_model: Path) -> None:
    key, entry = make_key("camera")
    options = ["--model", str(tiny_model), "--processes", "2", "--rate-limit", "0.01", "--rate-burst", "5"]
    with running(*options, environment={"YOLO9000_API_KEYS": str(entry)}) as server:
        until(lambda: len(serving_processes(server)) == 2, server)
        codes = [ask(server, authorization=f"Bearer {key}").status_code for _ in range(12)]
    assert codes == [200] * 5 + [429] * 7


def test_what_cannot_begin_is_one_sentence(tmp_path: Path) -> None:
    command = serve_command(0, "--processes", "2", "--model", str(tmp_path / "none.onnx"))
    missing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (missing.returncode, missing.stderr) == (2, f"yolo9000: there is no model file at {tmp_path}/none.onnx\n")

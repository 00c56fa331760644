"""The few things that need a real server and a socket, with the tiny model."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.app import pictures
from tests.app.conftest import problem
from tests.app.servers import ROOT, Running, running, serve_command, serving
from tests.model_files import tiny_metadata, write_tiny_model

pytestmark = pytest.mark.slow

PNG = {"content-type": "image/png"}
HEAD = b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"


def test_it_answers_on_both_kinds_of_addresses(tiny_model: Path) -> None:
    with running("--model", str(tiny_model), "--threads", "1", "--host", "127.0.0.1,::1") as server:
        port = server.client.base_url.port
        for host in ("127.0.0.1", "[::1]"):
            assert httpx.get(f"http://{host}:{port}/health/ready", trust_env=False).status_code == 200
        assert f"Listening at http://127.0.0.1:{port} and http://[::1]:{port}; Ctrl-C stops." in server.output


def test_a_taken_port_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = serve_command(port, "--model", str(tmp_path / "none.onnx"))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"yolo9000: another program listens at 127.0.0.1:{port}; choose another port with --port\n"


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[httpx.Client]:
    with serving("--model", str(tiny_model), "--threads", "1", "--max-upload-bytes", "100000") as client:
        yield client


def test_detect(server: httpx.Client) -> None:
    response = server.post("/detect", files={"image": pictures.red()})
    assert response.json()["detections"][0]["label"]["name"] == "beagle"


@pytest.mark.parametrize("chunked", [False, True])
def test_too_long_a_body_is_refused_politely(server: httpx.Client, chunked: bool) -> None:
    """The client gets the answer, not a broken connection, and may go on using the connection."""
    body = b"\xff" * 10_000_000
    content = (body[start : start + 65536] for start in range(0, len(body), 65536)) if chunked else body
    problem(server.post("/detect", content=content, headers=PNG), 413)
    assert server.post("/detect", content=pictures.red(), headers=PNG).status_code == 200


def test_a_client_that_leaves_costs_nothing(server: httpx.Client) -> None:
    head = b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 50000\r\n\r\n"
    for _ in range(20):
        with socket.create_connection((server.base_url.host, server.base_url.port or 0)) as connection:
            connection.sendall(head + b"\x89PNG")
    assert server.post("/detect", content=pictures.red(), headers=PNG).status_code == 200


def test_slow_uploads_do_not_hold_up_others(server: httpx.Client) -> None:
    head = b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 50000\r\n\r\n"
    address = (server.base_url.host, server.base_url.port or 0)
    slow = [socket.create_connection(address) for _ in range(40)]
    try:
        for connection in slow:
            connection.sendall(head + b"\x89PNG")
        assert server.post("/detect", content=pictures.red(), headers=PNG).status_code == 200
    finally:
        for connection in slow:
            connection.close()


def test_several_clients_at_once(server: httpx.Client) -> None:
    def ask(colour: str) -> str:
        data = pictures.encode(pictures.draw({colour: pictures.RED}))
        response = httpx.post(f"{server.base_url}/detect", content=data, headers=PNG, trust_env=False)
        name: str = response.json()["detections"][0]["label"]["name"]
        return name

    colours = ["red", "green", "blue"] * 8
    with ThreadPoolExecutor(8) as clients:
        names = list(clients.map(ask, colours))
    assert names == ["beagle", "dog", "bicycle"] * 8


# --- what the signals of an operator do


def connection_to(server: Running) -> socket.socket:
    url = server.client.base_url
    connection = socket.create_connection((url.host, url.port or 0))
    connection.settimeout(30)
    return connection


def begin_upload(server: Running, data: bytes) -> socket.socket:
    """Send all of a request but its last byte."""
    connection = connection_to(server)
    connection.sendall(HEAD % len(data) + data[:-1])
    return connection


def requests_in_progress(server: Running) -> float:
    """Return how many requests are not answered yet, the one that asks among them."""
    metrics = server.client.get("/metrics").text
    return float(metrics.partition("\nyolo9000_requests_in_progress ")[2].partition("\n")[0])


def answer_of(connection: socket.socket) -> bytes:
    """Read what the server sends, up to the end of the body or of the connection."""
    answer = b""
    while chunk := connection.recv(65536):
        answer += chunk
        head, _, body = answer.partition(b"\r\n\r\n")
        if b"content-length: %d\r\n" % len(body) in head + b"\r\n":
            break
    connection.close()
    return answer


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_told_to_stop_it_finishes_what_has_begun_and_refuses_what_comes(tiny_model: Path) -> None:
    with running("--model", str(tiny_model), "--threads", "1") as server:
        data = pictures.red()
        upload = begin_upload(server, data)
        until(lambda: requests_in_progress(server) == 2)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.client.get("/health/ready").status_code == 503)
        problem(server.client.post("/detect", content=data, headers=PNG), 503)
        assert server.client.get("/health/live").status_code == 200
        upload.sendall(data[-1:])
        answer = answer_of(upload)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"beagle" in answer
        assert server.process.wait(timeout=20) == 0


def test_what_does_not_end_in_time_is_given_up(tiny_model: Path) -> None:
    with running("--model", str(tiny_model), "--threads", "1", "--drain-timeout", "0.2") as server:
        upload = begin_upload(server, pictures.red())
        until(lambda: requests_in_progress(server) == 2)
        server.process.send_signal(signal.SIGTERM)
        answer = answer_of(upload)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"did not finish in time" in answer
        assert server.process.wait(timeout=20) == 0


def test_it_answers_503_for_a_while_so_that_a_load_balancer_notices(tiny_model: Path) -> None:
    with running("--model", str(tiny_model), "--threads", "1", "--drain-delay", "1.5") as server:
        told = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        until(lambda: server.client.get("/health/ready").status_code == 503)
        assert server.process.wait(timeout=20) == 0
        assert time.monotonic() - told >= 1.5


def test_a_slow_body_is_given_up(tiny_model: Path) -> None:
    with running("--model", str(tiny_model), "--threads", "1", "--upload-timeout", "0.3") as server:
        answer = answer_of(begin_upload(server, pictures.red()))
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in answer.lower()
        assert server.client.post("/detect", content=pictures.red(), headers=PNG).status_code == 200


def test_sighup_has_the_model_files_looked_at(tmp_path: Path) -> None:
    """At once, and refused files too."""
    real = tmp_path / "real"
    real.mkdir()
    write_tiny_model(real / "tiny.onnx", tiny_metadata(version="1"))
    served = tmp_path / "served"
    served.mkdir()
    (served / "tiny.onnx").symlink_to(real / "tiny.onnx")
    with running(
        "--models", str(served), "--model", str(tmp_path / "served" / "tiny.onnx"), "--threads", "1"
    ) as server:
        assert server.client.get("/model").json()["version"] == "1"
        write_tiny_model(real / "new", tiny_metadata(version="2")).replace(real / "tiny.onnx")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.client.get("/model").json()["version"] == "2")
        assert "Looking at the model files again." in server.output

"""Streams over a real connection, and what hostile clients send."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.app import pictures
from tests.app.servers import Running, running
from tests.proofs.clients import megabytes
from tests.proofs.hostile_streams import BINARY, CONTINUATION, HANDSHAKE, PING, TEXT, frame

pytestmark = pytest.mark.slow

FRAME = pictures.red()


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[Running]:
    with running("--model", str(tiny_model), "--threads", "1", "--max-upload-bytes", "100000") as server:
        yield server


def address(server: Running, query: str = "") -> str:
    return f"ws://127.0.0.1:{server.client.base_url.port}/detect/stream{query}"


def opened(server: Running, query: str = "") -> ClientConnection:
    return connect(address(server, query), compression=None, proxy=None)


def raw(server: Running) -> socket.socket:
    """Open a WebSocket by hand."""
    connection = socket.create_connection(("127.0.0.1", server.client.base_url.port or 0))
    connection.settimeout(30)
    connection.sendall(HANDSHAKE)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(1)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return connection


def is_read(connection: socket.socket, seconds: float = 1.0) -> bool:
    """Tell whether the server reads all that was sent, as the kernel's table of connections has it (proc(5))."""
    ends = [f"{end[1]:04X}" for end in (connection.getpeername(), connection.getsockname())]
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if [local.rpartition(":")[2], remote.rpartition(":")[2]] == ends and int(queues.partition(":")[2], 16) == 0:
                return True
        time.sleep(0.001)
    return False


def last_words(connection: socket.socket) -> bytes:
    """Read until the server ends the connection."""
    said = b""
    try:
        while chunk := connection.recv(65536):
            said += chunk
    except ConnectionError:
        pass
    return said


def still_answers(server: Running) -> None:
    with opened(server) as stream:
        stream.send(FRAME)
        assert json.loads(stream.recv(30))["detections"][0]["label"]["name"] == "beagle"
    assert server.client.post("/detect", content=FRAME).status_code == 200


def test_frames_are_answered(server: Running) -> None:
    with opened(server, "?threshold=0.3") as stream:
        for number in range(3):
            stream.send(FRAME)
            answer = json.loads(stream.recv(30))
            assert (answer["frame"], [found["track"] for found in answer["detections"]]) == (number, [1])
        stream.send(json.dumps({"under": ["n04524313"]}))
        stream.send(FRAME)
        assert json.loads(stream.recv(30))["detections"] == []


def test_a_handshake_is_refused_with_a_problem(server: Running) -> None:
    with pytest.raises(InvalidStatus) as caught:
        opened(server, "?threshold=2")
    response = caught.value.response
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert json.loads(response.body or b"")["errors"][0]["name"] == "threshold"


def test_a_frame_that_is_too_large_ends_its_stream(server: Running) -> None:
    with opened(server) as stream:
        stream.send(bytes(100_001))
        with pytest.raises(ConnectionClosed) as caught:
            stream.recv(30)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009
    still_answers(server)


@pytest.mark.parametrize(
    "crumbs",
    [
        frame(PING, b"x") * 20_000,
        frame(BINARY) * 20_000,
        frame(TEXT, b"{}") * 20_000,
        frame(BINARY, last=False) + frame(CONTINUATION, last=False) * 5000,
    ],
    ids=["pings", "empty frames", "parameters", "parts"],
)
def test_crumbs_end_their_stream(server: Running, crumbs: bytes) -> None:
    with raw(server) as connection:
        began = time.monotonic()
        with suppress(ConnectionError):  # it may end while there is more to send, and then what it said last is lost
            connection.sendall(crumbs)
        last_words(connection)
        assert time.monotonic() - began < 20  # one that only says nothing may stay for a minute
    still_answers(server)


def test_a_message_in_more_and_more_parts_ends_its_stream(server: Running) -> None:
    """Never many at once, but without an end."""
    with raw(server) as connection:
        connection.sendall(frame(BINARY, last=False))
        with pytest.raises(ConnectionError):  # noqa: PT012 - which of the writes it is depends on the moment
            for _ in range(1000):
                connection.sendall(frame(CONTINUATION, last=False) * 100)
                time.sleep(0.005)
    still_answers(server)


@pytest.mark.parametrize("data", [b"\xff" * 1000, frame(3), frame(TEXT, b"\xff\xfe"), frame(BINARY)[:2] + b"\x00"])
def test_rubbish_ends_its_stream(server: Running, data: bytes) -> None:
    with raw(server) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        last_words(connection)
    still_answers(server)


def test_a_client_that_does_not_read_its_pongs_is_read_no_more(server: Running) -> None:
    before = megabytes(server.process.pid)
    with raw(server) as connection:
        for _ in range(10_000):  # 130 MB, far more than sockets hold
            connection.sendall(frame(PING, b"x" * 125) * 100)
            if not is_read(connection):
                break
        else:
            pytest.fail("it reads on and on")
        assert megabytes(server.process.pid) - before < 30
    still_answers(server)


def test_told_to_stop_it_ends_its_streams(tiny_model: Path) -> None:
    with running("--model", str(tiny_model), "--threads", "1") as server, opened(server) as stream:
        stream.send(FRAME)
        assert json.loads(stream.recv(30))["frame"] == 0
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as caught:
            stream.recv(30)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "The service is stopping.")
        assert server.process.wait(timeout=20) == 0
        assert "WebSocket" not in server.output
        assert "GET /detect/stream 101" in server.output

"""What comes over a real connection and is no request, or too much of one."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.main import create_app
from app.settings import Settings
from tests.app import pictures
from tests.app.servers import Running, running
from yolo9000.serving.http import HttpProtocol
from yolo9000.serving.server import Server


def test_the_parser_and_the_loop_are_named() -> None:
    """Otherwise they would be those that something else happens to have installed."""
    config = Server(create_app(Settings()), Settings()).config
    config.load()
    assert (config.http_protocol_class, config.loop) == (HttpProtocol, "asyncio")


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[Running]:
    with running("--model", str(tiny_model), "--threads", "1") as server:
        yield server


def answered(server: Running, sent: bytes) -> tuple[int, dict[str, Any]]:
    """Send bytes; return the status, and the body, of an answer after which the server ends the connection."""
    port = server.client.base_url.port
    assert port is not None
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except ConnectionResetError:  # of what it did not read; the answer came before
            pass
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)


@pytest.mark.slow
@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"a" * 200_000 + b"\r\n\r\n",
        b"".join(b"X-%d: a\r\n" % number for number in range(10_000)) + b"\r\n",
        b"X-Endless: " + b"a" * 20_000,
        b"X: a\r\n" * 5_000,
        b"X: a\r\n" * 101 + b"\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nX-Long: " + b"a" * 8_200 + b"\r\n\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n" + b"X: a\r\n" * 130 + b"\r\n",
    ],
    ids=["long", "many", "endless", "endlessly many", "a few too many", "long handshake", "handshake of many"],
)
def test_a_head_that_is_too_large_is_refused(server: Running, head: bytes) -> None:
    status, body = answered(server, b"GET /detect/stream HTTP/1.1\r\nHost: x\r\n" + head)
    assert (status, body["type"]) == (431, "urn:yolo9000:problem:head-too-large")
    assert server.client.post("/detect", content=pictures.red()).status_code == 200


@pytest.mark.slow
def test_so_is_a_handshake_with_a_long_address(server: Running) -> None:
    address = b"/detect/stream?under=" + b"n" * 8_200
    handshake = b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    status, _ = answered(server, b"GET " + address + b" HTTP/1.1\r\nHost: x\r\n" + handshake)
    assert status == 431


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
        b"POST /detect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["words", "no host", "no header", "TLS", "no chunk"],
)
def test_what_is_no_request_is_told_so(server: Running, sent: bytes) -> None:
    status, body = answered(server, sent)
    assert (status, body["type"]) == (400, "urn:yolo9000:problem:malformed-request")
    assert server.client.post("/detect", content=pictures.red()).status_code == 200

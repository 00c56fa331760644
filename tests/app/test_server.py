"""The few things that need a real server and a socket, with the tiny bundle."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.app import pictures
from tests.app.conftest import problem
from tests.app.servers import serving

PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def server(tiny_bundle: Path) -> Iterator[httpx.Client]:
    with serving("--model", str(tiny_bundle), "--threads", "1", "--max-upload-bytes", "100000") as client:
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

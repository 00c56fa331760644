import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from deploy.image.healthcheck import address
from tests.app.servers import free_port
from tests.deploy.files import DEPLOY

pytestmark = pytest.mark.slow

FILE = DEPLOY / "image" / "healthcheck.py"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what the image sets


class _Draining(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b"it drains")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def draining() -> Iterator[int]:
    """The port of a service that is not ready."""
    with HTTPServer(("127.0.0.1", 0), _Draining) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        yield server.server_port


def check(port: int, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "YOLO9000_PORT": str(port), **variables}
    return subprocess.run([sys.executable, FILE], env=environment, capture_output=True, text=True, check=False)


def test_a_service_that_is_ready(service: httpx.Client) -> None:
    result = check(service.base_url.port or 0, http_proxy="http://127.0.0.1:9")
    assert result.returncode == 0
    assert '"ready"' in result.stdout


@pytest.mark.parametrize(
    ("command", "environment", "expected"),
    [
        ("tini -- yolo9000 serve", {"YOLO9000_PORT": "8123", "YOLO9000_HOST": EVERYWHERE}, ("127.0.0.1", "8123")),
        ("tini -- yolo9000 serve", {"YOLO9000_PORT": "", "YOLO9000_HOST": ""}, ("127.0.0.1", "8000")),
        ("tini -- yolo9000 serve --port 9000", {"YOLO9000_PORT": "8123"}, ("127.0.0.1", "9000")),
        ("tini -- yolo9000 serve --port=1 --port=9000", {}, ("127.0.0.1", "9000")),
        ("yolo9000 serve --host ::", {"YOLO9000_HOST": EVERYWHERE}, ("::1", "8000")),
        ("yolo9000 serve", {"YOLO9000_HOST": "::"}, ("::1", "8000")),
        ("yolo9000 serve", {"YOLO9000_HOST": f"{EVERYWHERE}, ::"}, ("127.0.0.1", "8000")),
        ("yolo9000 serve --host ::,0.0.0.0", {}, ("::1", "8000")),
        ("yolo9000 serve --host=10.1.2.3 --port", {}, ("10.1.2.3", "8000")),
        ("", {}, ("127.0.0.1", "8000")),
    ],
)
def test_it_asks_where_the_service_listens(
    command: str, environment: dict[str, str], expected: tuple[str, str]
) -> None:
    assert address(command.split(), environment) == expected


class _OnIPv6(HTTPServer):
    address_family = socket.AF_INET6


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_a_service_on_ipv6_alone() -> None:
    with _OnIPv6(("::1", 0), _Draining) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        result = check(server.server_port, YOLO9000_HOST="::")
    assert result.stdout == "it drains\n"


@pytest.mark.parametrize("port", ["nonsense", "99999999"])
def test_a_port_that_is_none(port: str) -> None:
    result = check(0, YOLO9000_PORT=port)
    assert (result.returncode, result.stderr) == (1, "")
    assert f"port {port}" in result.stdout


def test_nobody_listens() -> None:
    result = check(free_port())
    assert result.returncode == 1
    assert "no answer" in result.stdout
    assert not result.stderr


def test_one_that_drains(draining: int) -> None:
    result = check(draining)
    assert result.returncode == 1
    assert result.stdout == "it drains\n"

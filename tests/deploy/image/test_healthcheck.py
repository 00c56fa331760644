import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from tests.app.servers import free_port
from tests.deploy.files import DEPLOY

pytestmark = pytest.mark.slow

FILE = DEPLOY / "image" / "healthcheck.py"


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


def test_nobody_listens() -> None:
    result = check(free_port())
    assert result.returncode == 1
    assert "no answer" in result.stdout
    assert not result.stderr


def test_one_that_drains(draining: int) -> None:
    result = check(draining)
    assert result.returncode == 1
    assert result.stdout == "it drains\n"

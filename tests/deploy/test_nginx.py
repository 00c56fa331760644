"""deploy/nginx/yolo9000.conf, run by a real nginx in front of a real service."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.app import pictures
from tests.app.servers import Running, free_port, running
from tests.model_files import write_tiny_model

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
ROOT = Path(__file__).parents[2]
PNG = {"content-type": "image/png"}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]


@contextmanager
def proxied(service: httpx.URL, folder: Path, change: tuple[str, str] = ("", "")) -> Iterator[httpx.Client]:
    """Run nginx with our file, but for the address of the service, the port, and TLS."""
    port = free_port()
    text = (ROOT / "deploy" / "nginx" / "yolo9000.conf").read_text()
    for old, new in (
        ("127.0.0.1:8000", f"{service.host}:{service.port}"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        ("ssl_certificate /etc/nginx/yolo.crt;", ""),
        ("ssl_certificate_key /etc/nginx/yolo.key;", ""),
        change,
    ):
        assert old in text
        text = text.replace(old, new) if old else text
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{text}\n}}\n"
    )
    assert NGINX is not None
    with subprocess.Popen([NGINX, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                _wait_for(port, process)
                yield client
        finally:
            process.terminate()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        assert process.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("nginx does not listen")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    model = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")
    with running("--model", str(model), "--threads", "1", "--upload-timeout", "1") as server:
        yield server


@pytest.fixture(scope="module")
def client(service: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with proxied(service.client.base_url, tmp_path_factory.mktemp("nginx")) as client:
        yield client


def test_pictures_pass(client: httpx.Client) -> None:
    assert client.post("/detect", content=pictures.red(), headers=PNG).json()["detections"]
    assert client.post("/detect", files={"image": pictures.red()}).json()["detections"]
    assert "<html" in client.get("/").text


def test_streams_pass_as_pages_open_them(client: httpx.Client) -> None:
    address = f"{client.base_url.host}:{client.base_url.port}"
    with connect(f"ws://{address}/detect/stream", origin=Origin(f"http://{address}"), proxy=None) as stream:
        for number in range(2):
            stream.send(pictures.red())
            assert json.loads(stream.recv(30))["frame"] == number
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://{address}/detect/stream", origin=Origin("http://other.example"), proxy=None)
    assert caught.value.response.status_code == 403


def test_large_bodies_are_the_services_to_refuse(client: httpx.Client) -> None:
    """nginx's own limit would be 1 MB, and its answer a page of HTML."""
    almost = pictures.red() + bytes(19_000_000)
    assert client.post("/detect", content=almost, headers=PNG).status_code == 200
    refused = client.post("/detect", content=bytes(20_500_000), headers=PNG)
    assert (refused.status_code, refused.headers["content-type"]) == (413, "application/problem+json")
    assert client.post("/detect", content=pictures.red(), headers=PNG).status_code == 200


def test_slow_bodies_are_the_services_to_give_up(client: httpx.Client) -> None:
    """If nginx collected them first, the service would never see that they are slow."""
    address = (client.base_url.host, client.base_url.port or 0)
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(
            b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n12345"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_metrics_are_not_published(client: httpx.Client, service: Running) -> None:
    assert client.get("/metrics").status_code == 404
    assert service.client.get("/metrics").status_code == 200


def test_the_log_names_the_client(client: httpx.Client, service: Running) -> None:
    client.get("/classes", headers={"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "through-nginx"})
    until = time.monotonic() + 10
    while "203.0.113.9" not in service.output and time.monotonic() < until:
        time.sleep(0.05)
    assert "203.0.113.9" in service.output


def test_it_may_have_a_path_of_its_own(service: Running, tmp_path: Path) -> None:
    change = ("location / {\n        proxy_pass http://yolo9000;", "location /yolo/ {\n proxy_pass http://yolo9000/;")
    with proxied(service.client.base_url, tmp_path, change) as client:
        assert client.post("/yolo/detect", content=pictures.red(), headers=PNG).json()["detections"]
        page = client.get("/yolo/")
        (script, *_) = [part.split('"')[0] for part in page.text.split('src="')[1:]]
        assert client.get(page.url.join(script)).status_code == 200


def test_the_file_as_it_is_is_understood(tmp_path: Path) -> None:
    """With its certificate, which need not be a good one."""
    key, certificate = tmp_path / "yolo.key", tmp_path / "yolo.crt"
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 2 -keyout {key} -out {certificate}"
    subprocess.run(made.split(), check=True, capture_output=True)
    text = (ROOT / "deploy" / "nginx" / "yolo9000.conf").read_text().replace("/etc/nginx/yolo.", f"{tmp_path}/yolo.")
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{}} http {{ {text} }}")
    assert NGINX is not None
    told = subprocess.run(
        [NGINX, "-t", "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr

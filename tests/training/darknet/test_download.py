"""Downloads from a server on this machine that can be told to cut, to ignore ranges and to lie."""

import hashlib
import logging
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from training.darknet import download as module
from training.darknet.download import Digest, download
from training.darknet.errors import DownloadError

CONTENT = np.random.default_rng(0).bytes(3_000_000)
DIGEST = Digest("sha256", hashlib.sha256(CONTENT).hexdigest())


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every path; `cuts` has after how many bytes each of the next answers is cut."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts: list[int] = []
        self.ranges: list[str | None] = []
        self.takes_ranges = True
        self.content = CONTENT

    def address(self, path: str = "/weights") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked, content = self.headers.get("Range"), self.server.content
        self.server.ranges.append(asked)
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/weights")
            self.end_headers()
            return
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.server.takes_ranges else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Type", "text/html" if self.path == "/page" else "application/octet-stream")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + self.server.cuts.pop(0) if self.server.cuts else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        thread = Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "x.weights"


def fetch(server: Server, path: Path, where: str = "/weights", digest: Digest | None = DIGEST) -> Digest:
    return download([server.address(where)], path, digest, most=len(CONTENT))


def test_a_file_is_fetched_with_a_progress_bar(server: Server, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(server, path) == DIGEST

    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    bar = capsys.readouterr().err
    assert "weights: 100%" in bar
    assert "3.00M/3.00M" in bar


def test_after_a_cut_it_goes_on_where_it_was(server: Server, path: Path) -> None:
    server.cuts = [1_000_000, 500_000]

    fetch(server, path)

    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_later_call_goes_on_from_an_earlier_one(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    server.cuts = [1_000_000, 0]
    with pytest.raises(DownloadError, match="1000000 bytes are kept, and the same command goes on"):
        fetch(server, path)
    assert not path.exists()

    fetch(server, path)

    assert path.read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=1000000-"


def test_a_server_without_ranges_sends_it_all_again(server: Server, path: Path) -> None:
    server.takes_ranges, server.cuts = False, [1_000_000]

    fetch(server, path)

    assert path.read_bytes() == CONTENT


def test_what_arrived_whole_before_is_only_checked(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.with_name(".x.weights.part").write_bytes(CONTENT)

    fetch(server, path)

    assert path.read_bytes() == CONTENT


def test_redirects_are_followed(server: Server, path: Path) -> None:
    fetch(server, path, "/moved")

    assert path.read_bytes() == CONTENT


def test_another_digest_is_refused_and_nothing_kept(server: Server, path: Path) -> None:
    wrong = Digest("sha256", "0" * 64)

    with pytest.raises(DownloadError, match=f"gave another file than it should: its digest is {DIGEST}, not {wrong}"):
        fetch(server, path, digest=wrong)

    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("algorithm", ["sha1", "md5"])
def test_older_digests_are_checked_too(algorithm: str, server: Server, path: Path) -> None:
    digest = Digest(algorithm, hashlib.new(algorithm, CONTENT, usedforsecurity=False).hexdigest())
    length = len(digest.value)

    with pytest.raises(DownloadError, match="another file"):
        fetch(server, path, digest=Digest(algorithm, "0" * length))
    assert fetch(server, path, digest=digest) == DIGEST


def test_without_a_published_digest_it_is_told(server: Server, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert fetch(server, path, digest=None) == DIGEST

    assert f"no one has published a digest of x.weights; this one's is {DIGEST}" in caplog.text


def test_the_next_address_is_tried_when_one_fails(server: Server, path: Path) -> None:
    addresses = [server.address("/missing"), server.address("/page"), server.address()]

    download(addresses, path, DIGEST, most=len(CONTENT))

    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("where", "message"), [("/missing", "answers 404"), ("/page", "with a web page"), ("/weights", "3000000 bytes")]
)
def test_what_is_not_the_file_is_not_fetched(where: str, message: str, server: Server, path: Path) -> None:
    with pytest.raises(DownloadError, match=message):
        download([server.address(where)], path, DIGEST, most=2_999_999 if where == "/weights" else len(CONTENT))

    assert not path.exists()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "nonsense", "file:///etc/passwd"])
def test_an_address_that_does_not_answer_is_told(address: str, path: Path) -> None:
    with pytest.raises(DownloadError, match=re.escape(address)):
        download([address], path, DIGEST, most=1)


def test_a_file_that_is_there_already_is_not_fetched_again(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(CONTENT)

    assert fetch(server, path) == DIGEST
    assert not server.ranges


def test_another_file_that_is_there_already_is_left_alone(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"precious")

    with pytest.raises(DownloadError, match="was there already and is another file"):
        fetch(server, path)

    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("text", ["", "sha256:", "xyz", "0" * 63, f"sha512:{'0' * 64}", "sha256:" + "g" * 64])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no digest"):
        Digest.parse(text)


def test_digits_alone_are_sha256s() -> None:
    assert Digest.parse(f" {DIGEST.value.upper()} ") == DIGEST == Digest.parse(str(DIGEST))

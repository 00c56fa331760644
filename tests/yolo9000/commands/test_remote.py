"""`yolo9000 detect --server` against the real service, and against one that breaks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from app.access.keys import make_key
from app.contract.schemas import DetectionParameters
from tests.app import pictures
from tests.app.servers import serving
from yolo9000.client import Client
from yolo9000.commands import cli
from yolo9000.commands.remote import NoServiceError, asking
from yolo9000.commands.sources import find_sources


@pytest.fixture(scope="module")
def service(tiny_model: Path) -> Iterator[str]:
    """The address of a service with the tiny model."""
    with serving("--model", str(tiny_model)) as client:
        yield str(client.base_url)


@pytest.fixture
def red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "red.png"
    path.write_bytes(pictures.red())
    return path


def detect(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.command, ["detect", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def answers(result: Result) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in result.stdout.splitlines()]
    for one in found:
        one.get("result", {}).pop("timing_ms", None)
    return found


@pytest.mark.slow
def test_the_answers_are_those_of_a_model_here(service: str, red: Path, tiny_model: Path) -> None:
    asked = (red, "none.png", "--json", "--threshold", "0.2", "--max-detections", "7")
    local = answers(detect(*asked, "--model", tiny_model, code=1))
    assert answers(detect(*asked, "--server", service, code=1)) == local
    assert local[0]["result"]["detections"]


@pytest.mark.slow
def test_a_table_and_annotated_pictures(service: str, red: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    result = detect("red.png", "broken.png", "--server", service, "--save", "out", code=1)
    assert "red.png" in result.stdout
    assert result.stderr.startswith("yolo9000: broken.png: ")
    with Image.open("out/red.jpg") as annotated, Image.open(red) as picture:
        assert annotated.size == picture.size


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--size", "33"), "size"),
        (("--under", "n1"), "n1"),
        (("--model", "other"), "other"),
        (("--threads", "1"), "--threads is the service's to decide: leave it out with --server"),
        (("--max-pixels", "1000"), "--max-pixels is the service's to decide"),
    ],
)
def test_what_every_picture_would_fail_by_ends_it(
    service: str, red: Path, options: tuple[str, ...], sentence: str
) -> None:
    result = detect(red, red, "--server", service, *options, code=2)
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout


@pytest.mark.slow
def test_the_key_comes_from_a_variable(tiny_model: Path, red: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, entry = make_key("me")
    with serving("--model", str(tiny_model), "--api-keys", str(entry)) as client:
        url = str(client.base_url)
        assert "API key" in detect(red, "--server", url, code=2).stderr
        monkeypatch.setenv("YOLO9000_KEY", key)
        detect(red, "--server", url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://", "127.0.0.1:8000"])
def test_without_a_service(red: Path, url: str) -> None:
    assert detect(red, "--server", url, code=2).stderr.startswith(f"yolo9000: {url} cannot be reached: ")


def test_a_connection_that_breaks_fails_one_picture(red: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: object, **__: object) -> None:
        raise httpx.ReadError("broken pipe")

    monkeypatch.setattr(Client, "health", lambda _: {})
    monkeypatch.setattr(Client, "detect", break_off)
    (source,) = find_sources([str(red)], print)
    with asking("http://service", DetectionParameters(), {}) as look_at:
        look = look_at(source, None)
        assert look.problem is not None
        assert (look.problem.title, look.problem.detail) == ("No answer", "broken pipe")
        monkeypatch.setattr(Client, "health", break_off)
        with pytest.raises(httpx.ReadError):
            look_at(source, None)
    with pytest.raises(NoServiceError, match="cannot be reached"), asking("http://service", DetectionParameters(), {}):
        pass

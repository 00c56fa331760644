"""What `yolo9000 detect` is pointed at."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.app import pictures
from yolo9000.commands import cli
from yolo9000.commands.sources import NothingToLookAtError, find_sources


@pytest.fixture
def here(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pictures, with one within, the tiny model being the model in use."""
    monkeypatch.setenv("YOLO9000_MODEL", str(tiny_model))
    monkeypatch.chdir(tmp_path)
    for name in ("shots/b.png", "shots/a.PNG", "shots/deep/b.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(pictures.red())
    Path("shots/notes.txt").write_text("no picture")
    return tmp_path


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a server that has red.png, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/pictures/red.png?size=1"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(pictures.red() if found else b"no")

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/pictures"
        server.shutdown()


def detect(*arguments: str, given: bytes | None = None, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.command, ["detect", *arguments], input=given)
    assert result.exit_code == code, result.output
    return result


def names(result: Result) -> list[str]:
    return [json.loads(line)["picture"] for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("here")
def test_a_folder_with_those_within() -> None:
    result = detect("shots", "--json")
    assert names(result) == ["shots/a.PNG", "shots/b.png", "shots/deep/b.png"]
    assert result.stderr == "yolo9000: shots: skipped 1 files that are not named as pictures\n"


@pytest.mark.usefixtures("here")
def test_they_are_saved_in_the_same_folders() -> None:
    detect("shots", "--save", "drawn")
    assert sorted(map(str, Path("drawn").rglob("*.jpg"))) == ["drawn/a.jpg", "drawn/b.jpg", "drawn/deep/b.jpg"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("shots/*.png", ["shots/b.png"]),
        ("**/b.*", ["shots/b.png", "shots/deep/b.png"]),
        ("shots/[a]*", ["shots/a.PNG"]),
    ],
)
def test_a_pattern(pattern: str, expected: list[str]) -> None:
    assert names(detect(pattern, "--json")) == expected


@pytest.mark.usefixtures("here")
def test_a_file_may_look_like_a_pattern() -> None:
    Path("what[1].png").write_bytes(pictures.red())
    assert names(detect("what[1].png", "--json")) == ["what[1].png"]


@pytest.mark.usefixtures("here")
def test_standard_input() -> None:
    result = detect("-", "--json", "--save", "drawn.png", given=pictures.red())
    assert json.loads(result.stdout)["result"]["detections"][0]["label"]["name"] == "beagle"
    with Image.open("drawn.png") as drawn:
        assert drawn.size == pictures.SIZE


@pytest.mark.usefixtures("here")
def test_an_address(web: str) -> None:
    Path("drawn").mkdir()
    result = detect(f"{web}/red.png?size=1", f"{web}/gone.png", "shots/b.png", "--json", "--save", "drawn", code=1)
    good, bad, file = map(json.loads, result.stdout.splitlines())
    assert good["result"]["detections"][0]["label"]["name"] == "beagle"
    assert bad["picture"] == f"{web}/gone.png"
    assert bad["error"]["detail"] == "HTTP Error 404: Not Found"
    assert file["result"]["detections"]
    assert {path.name for path in Path("drawn").iterdir()} == {"red.jpg", "b.jpg"}


def test_nothing_to_look_at_is_told(here: Path) -> None:
    (here / "empty").mkdir()
    for given, message in (("empty", "there are no pictures in this folder"), ("*.gif", "no picture has such a name")):
        assert message in detect(given, code=2).stderr
        with pytest.raises(NothingToLookAtError, match=message):
            find_sources([given], print)
    (missing,) = find_sources(["missing.jpg"], print)
    with pytest.raises(FileNotFoundError):
        missing.read()

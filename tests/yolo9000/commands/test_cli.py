import json
import shutil
import socket
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner, Result

from app.settings import Settings
from model.version import VERSION
from tests.app import pictures
from tests.app.pictures import BLUE, draw, encode
from tests.model_files import node, tiny_tree
from yolo9000.commands import cli
from yolo9000.serving.server import Server

DOG = "n02084071"


@pytest.fixture
def here(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pictures and a text, the tiny model being the model in use."""
    monkeypatch.setenv("YOLO9000_MODEL", str(tiny_model))
    monkeypatch.chdir(tmp_path)
    Path("red.png").write_bytes(pictures.red())
    Path("blue.png").write_bytes(encode(draw({"blue": BLUE})))
    Path("text.jpg").write_text("no picture")
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.command, arguments)
    assert result.exit_code == code, result.output
    return result


def test_version() -> None:
    assert run("--version").stdout == f"yolo9000 {VERSION}\n"


@pytest.mark.usefixtures("here")
class TestDetect:
    def test_a_name_in_the_place_of_an_id_leads_to_the_id(self) -> None:
        assert DOG in run("detect", "red.png", "--under", "dog", code=2).stderr

    def test_table(self) -> None:
        lines = run("detect", "red.png", "blue.png").stdout.splitlines()
        assert lines[0].split()[:3] == ["picture", "label", "score"]
        assert lines[1].split()[:3] == ["red.png", "beagle", "0.90"]
        assert lines[1].endswith("object > animal > dog > beagle")
        assert lines[2].split()[:3] == ["blue.png", "bicycle", "0.90"]
        assert len(lines) == 3

    def test_nothing_found(self) -> None:
        Path("white.png").write_bytes(encode(draw({})))
        assert "(nothing found)" in run("detect", "white.png").stdout

    def test_a_bad_picture_does_not_stop_the_others(self) -> None:
        result = run("detect", "text.jpg", "red.png", "missing.png", "blue.png", code=1)
        assert "beagle" in result.stdout
        assert "bicycle" in result.stdout
        complaints = result.stderr.splitlines()
        assert [line.split(": ")[1] for line in complaints] == ["text.jpg", "missing.png"]
        assert "Not a supported picture type" in complaints[0]
        assert complaints[1] == "yolo9000: missing.png: No such file or directory"

    def test_json(self) -> None:
        lines = run("detect", "red.png", "text.jpg", "--json", code=1).stdout.splitlines()
        good, bad = map(json.loads, lines)
        assert good["picture"] == "red.png"
        assert list(good["result"]) == ["image", "detections", "model", "timing_ms"]
        assert good["result"]["detections"][0]["label"]["name"] == "beagle"
        assert bad["picture"] == "text.jpg"
        assert bad["error"]["status"] == 415

    def test_options(self) -> None:
        assert "nothing" in run("detect", "red.png", "--threshold", "0.95").stdout
        assert "nothing" in run("detect", "red.png", "--under", "n04524313").stdout
        assert "beagle" in run("detect", "red.png", "--under", "n04524313", "--under", DOG).stdout
        assert "object\n" in run("detect", "red.png", "--hierarchy-threshold", "0.9999").stdout
        assert "beagle" in run("detect", "red.png", "--size", "64", "--iou-threshold", "1").stdout
        assert "beagle" in run("detect", "red.png", "--max-detections", "1", "--threads", "1").stdout
        assert "pixels" in run("detect", "red.png", "--max-pixels", "100", code=1).stderr

    def test_faulty_options(self) -> None:
        assert "one of 64, 96, 128" in run("detect", "red.png", "--size", "65", code=2).stderr
        assert "n00000000" in run("detect", "red.png", "--under", "n00000000", code=2).stderr
        assert "64" in run("detect", "red.png", "--under", "n" * 100, code=2).stderr
        run("detect", "red.png", "--threshold", "2", code=2)
        run("detect", code=2)

    def test_save(self) -> None:
        run("detect", "red.png", "--save", "drawn.jpg")
        with Image.open("drawn.jpg") as drawn:
            assert (drawn.format, drawn.size) == ("JPEG", pictures.SIZE)
        run("detect", "red.png", "--save", "drawn.PNG")
        with Image.open("drawn.PNG") as drawn:
            assert drawn.format == "PNG"

    def test_save_in_a_folder(self) -> None:
        run("detect", "red.png", "text.jpg", "blue.png", "--save", "new/folder", code=1)
        assert sorted(path.name for path in Path("new/folder").iterdir()) == ["blue.jpg", "red.jpg"]
        Path("old").mkdir()
        run("detect", "red.png", "--save", "old")
        assert Path("old/red.jpg").exists()

    def test_save_never_overwrites_a_picture(self) -> None:
        before = Path("red.png").read_bytes()
        assert "overwrite" in run("detect", "red.png", "--save", "red.png", code=2).stderr
        assert Path("red.png").read_bytes() == before
        Path("other").mkdir()
        shutil.copy("red.png", "other/red.png")
        assert "same name" in run("detect", "red.png", "other/red.png", "--save", "out", code=2).stderr
        assert "folder" in run("detect", "red.png", "blue.png", "--save", "text.jpg", code=2).stderr
        assert ".jpg" in run("detect", "red.png", "--save", "drawn.gif", code=2).stderr
        assert not Path("out").exists()

    def test_save_where_nothing_can_be_written(self) -> None:
        result = run("detect", "red.png", "--save", "missing/drawn.jpg", code=1)
        assert result.stderr == "yolo9000: red.png: missing/drawn.jpg: No such file or directory\n"


@pytest.mark.usefixtures("here")
class TestClasses:
    def test_roots(self) -> None:
        lines = run("classes").stdout.splitlines()
        assert [line.split()[1] for line in lines] == ["name", "object", "matter"]
        assert lines[2].split()[2] == "no"

    def test_one_class(self) -> None:
        text = run("classes", DOG).stdout
        assert "path: object > animal > dog\n" in text
        assert "beagle" in text
        assert json.loads(run("classes", DOG, "--json").stdout)["children"][0]["name"] == "beagle"

    def test_of_untrained_ones_it_says_what_answers_instead(self) -> None:
        tree = tiny_tree()
        said = {name: run("classes", tree.wnids[node(name)]).stdout for name in ("dog", "car", "matter")}
        assert "trained: yes\n" in said["dog"]
        assert (
            f"trained: no; a picture of it is at best answered as vehicle ({tree.wnids[node('vehicle')]})"
            in said["car"]
        )
        assert "trained: no; never an answer\n" in said["matter"]

    def test_search(self) -> None:
        assert [line.split()[1] for line in run("classes", "BEAGLE").stdout.splitlines()] == [
            "name",
            "beagle",
        ]
        limited = run("classes", "synonym", "--limit", "2")
        assert len(limited.stdout.splitlines()) == 3
        assert "9 more" in limited.stderr
        assert json.loads(run("classes", "synonym", "--json").stdout)["total"] == 11
        assert "unicorn" in run("classes", "unicorn", code=1).stderr


def test_a_file_that_is_no_model_ends_in_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"broken")
    for command in (["serve"], ["detect", "picture.jpg"], ["classes"]):
        result = run(*command, "--model", str(broken), code=2)
        assert len(result.stderr.splitlines()) == 1
        assert "broken.onnx" in result.stderr


def test_a_faulty_variable_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO9000_PORT", "many")
    for command in (["classes"], ["detect", "picture.jpg"], ["serve"], ["settings"]):
        complaint = run(*command, code=2).stderr
        assert complaint.startswith("yolo9000: YOLO9000_PORT: input should be a valid integer")
        assert len(complaint.splitlines()) == 1


def test_an_unknown_variable_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO9000_PROT", "8000")
    expected = "yolo9000: YOLO9000_PROT is not a setting; is YOLO9000_PORT meant?\n"
    for command in (["classes"], ["serve"]):
        assert run(*command, code=2).stderr == expected


def test_a_faulty_option_of_serve_ends_in_one_sentence() -> None:
    assert run("serve", "--rate-limit", "-1", code=2).stderr.startswith(
        "yolo9000: --rate-limit: input should be greater"
    )
    assert "--port" in run("serve", "--port", "many", code=2).stderr
    assert "file.txt" in run("serve", "--api-keys-file", "file.txt", code=2).stderr


def test_serve_passes_its_options_on(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Server] = []
    logging: list[tuple[str, str]] = []

    def run_server(server: Server, sockets: list[socket.socket]) -> None:
        assert [taken.getsockname() for taken in sockets] == [("127.0.0.1", 8123)]
        served.append(server)

    monkeypatch.setattr(Server, "run", run_server)
    monkeypatch.setattr("yolo9000.commands.cli.configure_logging", lambda *how: logging.append(how))
    monkeypatch.setenv("YOLO9000_MAX_BATCH", "5")
    monkeypatch.setenv("YOLO9000_LOG_LEVEL", "error")
    options = ["--model", str(tiny_model), "--port", "8123", "--max-pixels", "1000", "--threads", "1"]
    run("serve", *options, "--log-format", "json", "--cors-origins", "https://a.org,https://b.org")
    (server,) = served
    assert (server.config.host, server.config.port) == ("127.0.0.1", 8123)
    settings = server.config.app.state.settings  # type: ignore[union-attr]
    assert settings == Settings(
        model=tiny_model,
        port=8123,
        processes=1,
        max_pixels=1000,
        threads=1,
        max_batch=5,
        log_format="json",
        log_level="error",
        cors_origins=["https://a.org", "https://b.org"],
    )
    assert logging == [("json", "error")]


def test_serve_has_an_option_for_every_setting() -> None:
    options = {parameter.name for parameter in get_command(cli.command).commands["serve"].params}  # type: ignore[attr-defined]
    assert options == set(Settings.model_fields)


@pytest.mark.parametrize("name", ["serve", "detect", "label", "classes", "settings", "key"])
def test_every_option_says_what_it_is_and_its_default(name: str) -> None:
    for parameter in get_command(cli.command).commands[name].params:  # type: ignore[attr-defined]
        assert parameter.help, parameter.name
        shown = isinstance(parameter.show_default, str) or parameter.default is not None
        assert parameter.required or shown or "Default:" in parameter.help, parameter.name


class TestSettings:
    def test_table(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("YOLO9000_PORT", "8123")
        lines = run("settings").stdout.splitlines()
        assert lines[0].split() == ["variable", "value", "default", "meaning"]
        assert len(lines) == 1 + len(Settings.model_fields)
        assert any(line.startswith("* YOLO9000_PORT ") and line.split()[2:4] == ["8123", "8000"] for line in lines)
        assert any(line.startswith("  YOLO9000_HOST ") for line in lines)

    def test_json_hides_keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = f"somebody:sha256:{'ab' * 32}"
        monkeypatch.setenv("YOLO9000_API_KEYS", entry)
        monkeypatch.setenv("YOLO9000_WORKERS", "3")
        text = run("settings", "--json").stdout
        assert json.loads(text)["YOLO9000_API_KEYS"]["value"] == "(hidden)"
        assert json.loads(text)["YOLO9000_WORKERS"]["value"] == 3
        assert "ab" * 8 not in text + run("settings").stdout


def test_a_key_and_its_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("key", "camera-7")
    key = result.stderr.strip().rpartition(" ")[2]
    entry = result.stdout.strip()
    assert key not in result.stdout
    monkeypatch.setenv("YOLO9000_API_KEYS", entry)
    assert Settings().key_ring.name_of(key) == "camera-7"
    assert "NAME:sha256:DIGEST" in run("key", "two words", code=2).stderr


def test_main_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["yolo9000", "--help"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    assert "serve" in capsys.readouterr().out

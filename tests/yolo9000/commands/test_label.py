"""The command as a user runs it; stopped and killed for real."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from app.label.workers import on_ray
from tests.app import pictures
from tests.app.label.archives import command, failures, fill, rows
from tests.app.label.ray_cluster import labelling
from tests.app.servers import ROOT
from yolo9000.commands.label import LOCAL_RAY, LabelCommand

PICTURES = 3000


@pytest.fixture
def arguments(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("YOLO9000_MODEL", str(tiny_model))
    fill(tmp_path / "source", 3)
    return [str(tmp_path / "source"), "--output", str(tmp_path / "output")]


@pytest.mark.slow
def test_label(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "source/bad.png").write_bytes(b"bad")
    (tmp_path / "source/0002").write_bytes(pictures.red())
    result = command(*arguments, "--format", "coco", "--every-file", "--size", "64", "--under", "n02084071")
    assert result.stderr == f"5 pictures, 1 of them failures (failures.jsonl): {tmp_path}/output\n"
    assert len(json.loads((tmp_path / "output/coco.json").read_text())["images"]) == 4
    assert list(failures(tmp_path / "output")) == ["bad.png"]
    result = command(*arguments, "--every-file", "--size", "96", "--under", "n02084071", code=2)
    assert result.stderr.startswith(
        f"yolo9000: {tmp_path}/output was started with other options: size is 96 and was 64;"
    )
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_faulty_options(arguments: list[str], tmp_path: Path) -> None:
    assert "one of 64, 96, 128" in command(*arguments, "--size", "65", code=2).stderr
    assert "no such folder" in command("missing", "--output", str(tmp_path / "output"), code=2).stderr
    assert "no Ray cluster" in command(*arguments, "--ray", "127.0.0.1:1", code=2).stderr
    command(*arguments, "--processes", "0", code=2)
    command(arguments[0], code=2)


@pytest.mark.parametrize("missing", ["pyarrow", "tqdm"])
def test_without_the_extra(arguments: list[str], monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    complaint = command(*arguments, code=2).stderr
    assert complaint.startswith(
        f"yolo9000: yolo9000 label needs {missing}, which is not installed: pip install 'yolo9000[label]'"
    )


def test_ray_may_stand_alone() -> None:
    assert LOCAL_RAY == on_ray.LOCAL
    options = LabelCommand(name="label", params=[])
    for given, made in (
        (["--ray"], ["--ray", "local"]),
        (["--ray", "--every-file"], ["--ray", "local", "--every-file"]),
        (["--ray", "auto", "--every-file"], ["--ray", "auto", "--every-file"]),
        (["a", "--every-file"], ["a", "--every-file"]),
    ):
        assert options.with_address(given) == made


def start(tmp_path: Path, tiny_model: Path, *options: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("YOLO9000_")}
    what = [str(tmp_path / "source"), "--output", str(tmp_path / "output"), "--model", str(tiny_model), *options]
    return subprocess.Popen(
        [sys.executable, "-m", "yolo9000", "label", *what], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )


def wait_for_some(process: "subprocess.Popen[str]", output: Path, count: int) -> int:
    """Wait until some shards are done, and return how many."""
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        if (output / "pictures").exists() and (done := len(list((output / "pictures").iterdir()))) >= count:
            return done
        time.sleep(0.01)
    raise AssertionError(f"{count} shards were not done: {process.poll()}")


@pytest.mark.slow
def test_killed_and_resumed_until_it_is_done(tmp_path: Path, tiny_model: Path) -> None:
    """Kill the command again and again, once with its processes; in the end each picture is there once."""
    names = fill(tmp_path / "source", PICTURES)
    output = tmp_path / "output"
    shards = PICTURES // 20
    done: dict[str, int] = {}
    for number in range(3):
        with start(tmp_path, tiny_model, "--shard-size", "20", "--processes", "2") as process:
            wait_for_some(process, output, len(done) + 5)
            workers = labelling_below(process.pid)
            process.kill()
            for worker in workers if number == 1 else []:
                os.kill(worker, signal.SIGKILL)
        wait_until_gone(workers)
        now = {path.name: path.stat().st_ino for path in (output / "pictures").iterdir()}
        assert now.items() >= done.items(), "a shard that was done was done again"
        assert len(done) < len(now) < shards
        done = now
    with start(tmp_path, tiny_model, "--processes", "2") as process:
        _, complaints = process.communicate(timeout=120)
    assert (process.returncode, complaints) == (0, f"{PICTURES} pictures: {output}\n")
    found = rows(output)
    assert [row["picture"] for row in found] == names
    assert all(row["detections"] == 1 for row in found)
    assert [row["picture"] for row in rows(output, "detections")] == names
    assert {path.name: path.stat().st_ino for path in (output / "pictures").iterdir()}.items() >= done.items()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped(tmp_path: Path, tiny_model: Path, number: signal.Signals, code: int) -> None:
    fill(tmp_path / "source", PICTURES)
    with start(tmp_path, tiny_model, "--shard-size", "20", "--processes", "1") as process:
        wait_for_some(process, tmp_path / "output", 2)
        workers = labelling_below(process.pid)
        process.send_signal(number)
        _, complaints = process.communicate(timeout=60)
    assert process.returncode == code
    assert complaints == "yolo9000: stopped; run the same command again to continue\n"
    wait_until_gone(workers)


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal(arguments: list[str], tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 100, 0, 0))
    command = [sys.executable, "-m", "yolo9000", "label", *arguments]
    subprocess.run(command, cwd=ROOT, stderr=theirs, timeout=300, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert re.search(r"labelling: 100%\|.*\| 3/3 ", shown), shown
    assert f"3 pictures: {tmp_path}/output" in shown


def labelling_below(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [child for child in labelling() if str(child) in children]


def wait_until_gone(workers: list[int]) -> None:
    assert workers
    end = time.monotonic() + 30
    while set(labelling()) & set(workers):
        assert time.monotonic() < end, "a process outlives the command"
        time.sleep(0.02)

"""Videos in Python and at the command: what is in each frame, and what is followed through them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.yolo9000.video.films import HEIGHT, WIDTH, pictures, write_film
from yolo9000 import Detector, FrameResult, VideoError
from yolo9000.commands import cli
from yolo9000.video.reading import Video

PATH = "object > animal > dog > beagle"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "red.mp4", pictures(12))


@pytest.fixture
def here(tmp_path: Path, film: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YOLO9000_MODEL", str(tiny_model))
    monkeypatch.chdir(tmp_path)
    return film


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.command, ["detect", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_each_frame_has_what_is_in_it(tiny_model: Path, film: Path) -> None:
    results = list(Detector(tiny_model).detect_video(film))
    assert [result.frame for result in results] == list(range(12))
    for result in results:
        (found,) = result
        assert found.track == 1
        assert " > ".join(step.name for step in found.path) == PATH
        assert abs(found.box.x1 - (5 + 3 * result.frame)) < 4
        assert (result.width, result.height) == (WIDTH, HEIGHT)
    assert results[3].draw().size == (WIDTH, HEIGHT)


def test_who_stops_early_has_no_thread_at_work_on_a_closed_video(
    tiny_model: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = list[list[str]]()
    close = Video.close

    def closed(video: Video) -> None:
        at_work.append([thread.name for thread in threading.enumerate() if thread.name == "read-ahead"])
        close(video)

    monkeypatch.setattr(Video, "close", closed)
    frames = Detector(tiny_model).detect_video(film)
    assert next(frames).frame == 0
    frames.close()  # type: ignore[attr-defined]  # it is a generator
    assert at_work == [[]]


def test_the_json_of_a_frame_can_be_read_back(tiny_model: Path, film: Path) -> None:
    *_, last = Detector(tiny_model).detect_video(film, every=5, end=1.1)
    again = FrameResult.from_dict(json.loads(last.to_json()))
    assert (again.frame, again.seconds) == (10, 1.0)
    assert again.detections == last.detections


def test_what_is_asked_counts(tiny_model: Path, film: Path) -> None:
    detector = Detector(tiny_model)
    assert all(not result for result in detector.detect_video(film, threshold=0.95))
    names = {found.name for result in detector.detect_video(film, hierarchy_threshold=1.0) for found in result}
    assert "beagle" not in names
    vehicle = detector.concepts.search("vehicle")[0].wnid
    assert all(not result for result in detector.detect_video(film, under=vehicle))


@pytest.mark.parametrize("wrong", [{"every": 0}, {"start": -1.0}, {"start": 2.0, "end": 1.0}, {"threshold": 2.0}])
def test_wrong_parameters_are_told_at_once(tiny_model: Path, film: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Detector(tiny_model).detect_video(film, **wrong)  # type: ignore[arg-type]


def test_no_such_film(tiny_model: Path) -> None:
    with pytest.raises(VideoError, match=r"none\.mp4: No such file"):
        Detector(tiny_model).detect_video("none.mp4")


@pytest.mark.usefixtures("here")
class TestCommand:
    def test_a_row_for_each_track(self) -> None:
        header, row = run("red.mp4").stdout.splitlines()
        assert header.split() == ["video", "track", "label", "score", "seconds", "frames", "path"]
        assert row.split() == ["red.mp4", "1", "beagle", "0.90", "0.0-1.1", "12", *PATH.split()]

    def test_a_line_for_each_frame(self) -> None:
        lines = [json.loads(line) for line in run("red.mp4", "--json", "--every", "4").stdout.splitlines()]
        assert [(line["video"], line["frame"]) for line in lines] == [("red.mp4", 0), ("red.mp4", 4), ("red.mp4", 8)]
        assert [line["detections"][0]["track"] for line in lines] == [1, 1, 1]

    def test_a_part_of_a_video(self) -> None:
        lines = run("red.mp4", "--json", "--start", "0.5", "--end", "0.8").stdout.splitlines()
        assert [json.loads(line)["frame"] for line in lines] == [5, 6, 7]

    def test_a_pattern_of_videos(self, tmp_path: Path) -> None:
        write_film(tmp_path / "blue.mp4", pictures(3, colour="blue"))
        rows = run("*.mp4").stdout.splitlines()[1:]
        assert [row.split()[0] for row in rows] == ["blue.mp4", "red.mp4"]
        assert "no video has such a name" in run("*.mkv", code=2).stderr

    def test_nothing_found(self) -> None:
        assert "(nothing found)" in run("red.mp4", "--threshold", "0.95").stdout

    def test_one_that_fails_does_not_stop_the_others(self) -> None:
        result = run("none.mp4", "red.mp4", code=1)
        assert "none.mp4: No such file" in result.stderr
        assert len(result.stdout.splitlines()) == 2

    def test_one_that_ends_early_is_told(self, tmp_path: Path) -> None:
        path = write_film(tmp_path / "cut.avi", pictures(40), codec="png", pixels="rgb24")
        content = bytearray(path.read_bytes())
        place = content.index(b"\x89PNG", len(content) // 2)
        content[place : place + 100] = bytes(100)
        path.write_bytes(content)
        assert "packets that cannot be decoded" in run("cut.avi").stderr

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (("red.mp4", "photo.jpg"), "photo.jpg: pictures and videos"),
            (("red.mp4", "--server", "http://127.0.0.1:9"), "leave --server out"),
        ],
    )
    def test_what_does_not_go_together(self, arguments: tuple[str, ...], sentence: str) -> None:
        assert sentence in run(*arguments, code=2).stderr

    @pytest.mark.slow
    def test_ctrl_c_leaves_what_was_seen(self, tmp_path: Path) -> None:
        write_film(tmp_path / "long.mp4", pictures(4000), preset="ultrafast")
        command = [sys.executable, "-m", "yolo9000", "detect", "long.mp4", "--json"]
        root = Path(cli.__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read().splitlines()
        assert process.returncode == 130
        frames = [json.loads(line)["frame"] for line in (first, *rest)]
        assert frames == list(range(len(frames)))
        assert len(frames) < 4000

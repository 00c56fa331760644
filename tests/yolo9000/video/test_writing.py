"""Annotated videos: whole files with every frame at its time, the sound kept, whatever happens on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.yolo9000.video.films import RATE, pictures, write_film
from yolo9000.commands import cli
from yolo9000.video.errors import VideoError
from yolo9000.video.reading import Video
from yolo9000.video.writing import VideoWriter


def copy(path: Path, target: Path, **part: Any) -> Path:
    """Write a film's frames again, as they are."""
    with Video(str(path)) as video, VideoWriter(target, video, part.get("start", 0.0)) as writer:
        for frame in video.read(hear=writer.hear, **part):
            writer.write(frame, frame.image)
    return target


def seconds_of(path: Path) -> list[float]:
    with Video(str(path)) as video:
        return [round(frame.seconds, 3) for frame in video.read()]


def sound_of(path: Path) -> tuple[str, float]:
    """Return the codec of a film's sound, and how long it is in seconds."""
    with av.open(str(path)) as film:
        (stream,) = film.streams.audio
        name = stream.codec_context.name
        samples = sum(frame.samples for frame in film.decode(stream))
        return name, samples / stream.codec_context.sample_rate


def test_every_frame_is_written_at_its_time(tmp_path: Path) -> None:
    times = [0, 100, 150, 500, 900, 910, 1000, 1300]
    source = write_film(tmp_path / "a.mp4", pictures(8), times=times)
    target = copy(source, tmp_path / "out" / "b.mp4")
    assert seconds_of(target) == [one / 1000 for one in times]
    with av.open(str(target)) as film:
        assert film.streams.video[0].codec_context.name == "h264"
        assert film.streams.video[0].codec_context.pix_fmt == "yuv420p"
    with Video(str(target)) as one, Video(str(source)) as other:
        for written, given in zip(one.read(), other.read(), strict=True):
            assert np.abs(np.asarray(written.image, int) - np.asarray(given.image, int)).mean() < 4


def test_the_rate_stays(tmp_path: Path) -> None:
    target = copy(write_film(tmp_path / "a.mov", pictures(30), rate=25), tmp_path / "b.mov")
    with Video(str(target)) as video:
        assert (float(video.rate), video.frames) == (25, 30)


@pytest.mark.parametrize(
    ("name", "codec", "sound", "target", "kept"),
    [
        ("a.mp4", "libx264", "aac", "b.mp4", "aac"),
        ("a.mkv", "libx264", "flac", "b.mp4", "aac"),
        ("a.mkv", "libx264", "flac", "b.mkv", "flac"),
        ("a.webm", "libvpx-vp9", "libopus", "b.mp4", "opus"),
    ],
)
def test_the_sound_is_kept(tmp_path: Path, name: str, codec: str, sound: str, target: str, kept: str) -> None:
    source = write_film(tmp_path / name, pictures(20), codec=codec, sound=True, audio_codec=sound)
    found, seconds = sound_of(copy(source, tmp_path / target))
    assert found.removeprefix("lib") == kept
    assert seconds == pytest.approx(20 / RATE, abs=0.15)


def test_a_part_begins_at_nought_with_its_sound(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4", pictures(40), sound=True, g="5")
    target = copy(source, tmp_path / "b.mp4", start=1.5, end=2.5)
    assert seconds_of(target) == [round(number / RATE, 3) for number in range(10)]
    assert sound_of(target)[1] == pytest.approx(1, abs=0.15)


def test_odd_sides_are_made_even(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mkv", pictures(3, size=(161, 121)), pixels="yuv444p")
    target = copy(source, tmp_path / "b.mp4")
    with Video(str(target)) as video:
        assert next(video.read()).image.size == (160, 120)


def test_nothing_is_left_of_a_film_that_fails(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4", pictures(20))
    target = tmp_path / "b.mp4"
    target.write_bytes(b"old")
    with Video(str(source)) as video:
        frame = next(video.read())
        writer = VideoWriter(target, video)
        writer.write(frame, frame.image)
        writer.__exit__(RuntimeError)
        with pytest.raises(VideoError, match="there is no frame"), VideoWriter(target, video):
            pass
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4", pictures(2))
    (tmp_path / "file").touch()
    with Video(str(source)) as video, pytest.raises(VideoError, match=r"b\.mp4: cannot be written"):
        VideoWriter(tmp_path / "file" / "b.mp4", video)


@pytest.fixture
def here(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YOLO9000_MODEL", str(tiny_model))
    monkeypatch.chdir(tmp_path)
    write_film(tmp_path / "red.mp4", pictures(12), sound=True)
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.command, ["detect", *arguments])
    assert result.exit_code == code, result.output
    return result


class TestCommand:
    def test_boxes_and_names_are_in_the_video(self, here: Path) -> None:
        run("red.mp4", "--save", "out.mp4")
        assert seconds_of(here / "out.mp4") == seconds_of(here / "red.mp4")
        assert sound_of(here / "out.mp4")[0] == "aac"
        with Video("out.mp4") as one, Video("red.mp4") as other:
            drawn, plain = (np.asarray(next(video.read()).image, int) for video in (one, other))
        assert np.abs(drawn - plain).max() > 100

    def test_every_third_frame_stays_at_its_time(self, here: Path) -> None:
        run("red.mp4", "--save", "out.mp4", "--every", "3")
        assert seconds_of(here / "out.mp4") == [0.0, 0.3, 0.6, 0.9]

    def test_several_go_into_a_folder(self, here: Path) -> None:
        write_film(here / "blue.mkv", pictures(3, colour="blue"))
        run("red.mp4", "blue.mkv", "--save", "drawn")
        assert sorted(path.name for path in (here / "drawn").iterdir()) == ["blue.mp4", "red.mp4"]

    @pytest.mark.parametrize(
        ("save", "sentence"),
        [
            ("red.mp4", "saving would overwrite the video red.mp4"),
            ("out.gif", "its name must end in .mp4, .mov, .mkv"),
        ],
    )
    def test_a_wrong_place_is_told_before_work_begins(self, here: Path, save: str, sentence: str) -> None:
        before = (here / "red.mp4").read_bytes()
        assert sentence in run("red.mp4", "--save", save, code=2).stderr
        assert (here / "red.mp4").read_bytes() == before

    @pytest.mark.slow
    def test_ctrl_c_leaves_a_whole_file(self, here: Path) -> None:
        write_film(here / "long.mp4", pictures(4000), preset="ultrafast")
        command = [sys.executable, "-m", "yolo9000", "detect", "long.mp4", "--json", "--save", "out.mp4"]
        environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            lines = process.stdout.read().splitlines()
        assert process.returncode == 130
        written = seconds_of(here / "out.mp4")
        assert 0 <= len(written) - len(lines) <= 1 + 1
        assert 0 < len(written) < 4000
        assert not list(here.glob(".*"))


def test_a_frame_of_another_size_fits(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4", pictures(3))
    with Video(str(source)) as video, VideoWriter(tmp_path / "b.mp4", video) as writer:
        for frame in video.read():
            writer.write(frame, Image.new("RGB", (80 + frame.number * 20, 60)))
    with Video(str(tmp_path / "b.mp4")) as video:
        assert {frame.image.size for frame in video.read()} == {(80, 60)}

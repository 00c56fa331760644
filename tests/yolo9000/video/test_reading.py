"""Frames come as a person sees them, whatever the film; what is broken is told, and memory does not grow."""

import builtins
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.model_files import COLOURS
from tests.yolo9000.video.films import HEIGHT, RATE, WIDTH, picture, pictures, write_film
from yolo9000.video.ahead import read_ahead
from yolo9000.video.errors import VideoError, VideoMissingError
from yolo9000.video.reading import Frame, Video
from yolo9000.video.sources import is_video, place_of


def read(path: Path, **options: Any) -> list[Frame]:
    with Video(str(path)) as video:
        return list(video.read(**options))


def is_frame(image: Image.Image, number: int, **options: Any) -> bool:
    """Tell whether an image shows a frame, but for what a codec loses."""
    shown = np.asarray(picture(number, **options), int)
    return image.size == shown.shape[1::-1] and float(np.abs(np.asarray(image, int) - shown).mean()) < 6


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv444p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("ten-bit.mp4", "libx264", "yuv420p10le"),
        ("grey.mkv", "libx264", "gray"),
    ],
)
def test_every_frame_is_given_once_in_order(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    frames = read(write_film(tmp_path / name, pictures(12), codec=codec, pixels=pixels))
    assert [frame.number for frame in frames] == list(range(12))
    assert [round(frame.seconds * RATE) for frame in frames] == list(range(12))
    if pixels != "gray":
        assert all(is_frame(frame.image, frame.number) for frame in frames)


def test_what_is_known_before(tmp_path: Path) -> None:
    with Video(str(write_film(tmp_path / "a.mp4", pictures(12)))) as video:
        assert (video.frames, float(video.rate), video.live) == (12, RATE, False)
        assert video.seconds == pytest.approx(1.2)
        assert video.audio is None
    with Video(str(write_film(tmp_path / "b.mp4", pictures(12), sound=True))) as video:
        assert video.audio is not None


def test_every_nth_frame_and_a_part(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", pictures(40), g="10")
    assert [frame.number for frame in read(path, every=7)] == [0, 7, 14, 21, 28, 35]
    part = read(path, start=1.5, end=3.0)
    assert [frame.number for frame in part] == list(range(15, 30))
    assert all(is_frame(frame.image, frame.number) for frame in part)
    assert [frame.number for frame in read(path, start=1.5, end=3.0, every=5)] == [15, 20, 25]
    assert read(path, start=9) == []


def test_a_variable_rate_has_its_own_times(tmp_path: Path) -> None:
    times = [0, 100, 150, 500, 900, 910, 1000, 1300]
    frames = read(write_film(tmp_path / "a.mp4", pictures(8), times=times))
    assert [round(1000 * frame.seconds) for frame in frames] == times


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_film_of_a_phone_is_held_upright(tmp_path: Path, rotation: int) -> None:
    path = write_film(tmp_path / "a.mp4", pictures(2), rotation=rotation)
    expected = picture(0).rotate(rotation, expand=True)
    image = read(path)[0].image
    assert image.size == expected.size
    assert float(np.abs(np.asarray(image, int) - np.asarray(expected, int)).mean()) < 6


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", pictures(2), x264opts="sar=2/1")
    assert read(path)[0].image.size == (2 * WIDTH, HEIGHT)


def test_sound_is_heard_only_if_asked_for(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", pictures(20), sound=True)
    heard: list[Any] = []
    assert len(read(path, hear=heard.append)) == 20
    assert sum(packet.duration * packet.time_base for packet in heard) == pytest.approx(2, abs=0.2)
    part: list[Any] = []
    read(path, start=1.0, end=1.5, hear=part.append)
    assert all(1.0 <= packet.pts * packet.time_base < 1.5 for packet in part)


def test_broken_packets_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.avi", pictures(40), codec="png", pixels="rgb24")
    content = bytearray(path.read_bytes())
    place = content.index(b"\x89PNG", len(content) // 2)
    content[place : place + 100] = bytes(100)
    path.write_bytes(content)
    with Video(str(path)) as video:
        frames = list(video.read())
        assert 38 <= len(frames) < 40
        assert video.broken == 1


def test_a_film_that_is_cut_short_gives_what_there_is(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", pictures(60), g="5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 10 < len(read(path)) < 60


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.mp4", None, "No such file or directory"),
        ("text.mp4", b"not a film at all", "Invalid data found"),
        ("empty.mp4", b"", "Invalid data found|End of file"),
    ],
)
def test_what_is_no_film_is_told(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=rf"{name}: .*({reason})"):
        Video(str(tmp_path / name))


def test_sound_alone_is_no_film(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as film:
        stream = film.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44_100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        film.mux(stream.encode(frame))
        film.mux(stream.encode())
    with pytest.raises(VideoError, match="has no moving pictures"):
        Video(str(tmp_path / "a.mp4"))


def test_without_pyav_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "av":
            raise ModuleNotFoundError("No module named 'av'", name="av")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(VideoMissingError, match=r"pip install 'yolo9000\[video\]'"):
        Video("a.mp4")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a.mp4", True),
        ("films/A.MKV", True),
        ("camera:0", True),
        ("rtsp://host/1", True),
        ("https://host/a.webm?x=1", True),
        ("https://host/live.m3u8", True),
        ("https://host/a.jpg", False),
        ("a.jpg", False),
        ("films", False),
        ("-", False),
        ("a.gif", False),
    ],
)
def test_what_is_a_video(given: str, expected: bool) -> None:
    assert is_video(given) is expected


def test_a_file_cannot_name_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of("concat:a.mp4").file == "file:concat:a.mp4"
    (tmp_path / "list.mkv").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    with pytest.raises(VideoError):
        read(tmp_path / "list.mkv")
    assert "file" not in place_of("http://host/live.m3u8").options["protocol_whitelist"].split(",")


def test_a_camera_has_a_number() -> None:
    assert place_of("camera:1").live
    with pytest.raises(VideoError, match="a camera has a number"):
        Video("camera:front")


def test_reading_can_be_given_up(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", pictures(100))
    with Video(str(path)) as video:
        for frame in video.read():
            if frame.number == 3:
                break


class TestReadAhead:
    def test_all_items_in_order(self) -> None:
        assert list(read_ahead(iter(range(100)), 3)) == list(range(100))

    def test_no_more_than_so_many_wait(self) -> None:
        made: list[int] = []

        def items() -> Iterator[int]:
            for number in range(50):
                made.append(number)
                yield number

        reading = read_ahead(items(), 4)
        assert next(reading) == 0
        time.sleep(0.05)
        assert len(made) <= 6
        reading.close()

    def test_an_error_comes_after_the_items_before_it(self) -> None:
        def items() -> Iterator[int]:
            yield 1
            raise VideoError("broken")

        reading = read_ahead(items(), 4)
        assert next(reading) == 1
        with pytest.raises(VideoError, match="broken"):
            next(reading)

    def test_the_newest_wins(self) -> None:
        def items() -> Iterator[int]:
            for number in range(50):
                time.sleep(0.002)
                yield number

        seen = []
        for number in read_ahead(items(), 1, newest=True):
            seen.append(number)
            time.sleep(0.02)
        assert len(seen) < 25
        assert seen == sorted(seen)
        assert seen[-1] == 49


def test_colours_are_those_of_the_film(tmp_path: Path) -> None:
    image = read(write_film(tmp_path / "a.mp4", pictures(1, colour="blue")))[0].image
    pixel = image.getpixel((25, 50))
    assert isinstance(pixel, tuple)
    assert all(abs(a - b) < 12 for a, b in zip(pixel, COLOURS["blue"], strict=True))

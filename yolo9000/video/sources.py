"""Which names mean a video, a camera or a stream, and how PyAV opens them."""

import sys
from pathlib import PurePosixPath
from typing import Final, NamedTuple
from urllib.parse import urlsplit

SUFFIXES: Final = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".3gp", ".ogv"}
)
"""In lower case."""
CAMERA: Final = "camera:"
STREAMS: Final = ("rtsp://", "rtsps://", "rtmp://", "udp://", "srt://")
WEB: Final = ("http://", "https://")
PLAYLISTS: Final = frozenset({".m3u8", ".mpd", ".mjpg", ".mjpeg"})
"""What addresses of streams over HTTP end with, besides `SUFFIXES`."""
PROTOCOLS: Final = "http,https,tcp,tls,udp,rtp,rtsp,rtsps,rtmp,srt,crypto,hls,data"
"""What FFmpeg may open for an address; not files, which a stream from elsewhere may not name."""
PATIENCE: Final = 10_000_000
"""Microseconds without an answer from a stream."""


class Place(NamedTuple):
    """What is given to PyAV.

    Attributes:
        file: to open.
        format: of a camera's driver; None: it is found out.
        options: for FFmpeg.
        live: whether frames come when they come: what is late is left out.
    """

    file: str
    format: str | None
    options: dict[str, str]
    live: bool


def is_video(given: str) -> bool:
    """Tell by its name whether a source is a video, a camera or a stream, and no picture."""
    if given.startswith((CAMERA, *STREAMS)):
        return True
    name = urlsplit(given).path if given.startswith(WEB) else given
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    return suffix in SUFFIXES or (given.startswith(WEB) and suffix in PLAYLISTS)


def place_of(given: str) -> Place:
    """Return how a source is opened.

    Raises:
        ValueError: the camera has no number.
    """
    if given.startswith(CAMERA):
        number = given.removeprefix(CAMERA)
        if not number.isdigit():
            raise ValueError(f"{given}: a camera has a number, as camera:0")
        return _camera(number)
    if given.startswith((*STREAMS, *WEB)):
        options = {"protocol_whitelist": PROTOCOLS, "timeout": str(PATIENCE)}
        if given.startswith(("rtsp://", "rtsps://")):
            options |= {"rtsp_transport": "tcp"}
        suffix = PurePosixPath(urlsplit(given).path).suffix.lower()
        return Place(given, None, options, live=suffix not in SUFFIXES)
    # A file, whatever its name looks like: "http:..." of FFmpeg's protocols must not be reached through it.
    return Place(f"file:{given}", None, {"protocol_whitelist": "file,crypto,data"}, live=False)


def _camera(number: str) -> Place:
    if sys.platform == "darwin":
        return Place(number, "avfoundation", {"framerate": "30"}, live=True)
    if sys.platform == "win32":
        return Place(f"video={number}", "dshow", {}, live=True)
    return Place(f"/dev/video{number}", "v4l2", {}, live=True)

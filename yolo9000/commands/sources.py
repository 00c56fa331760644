"""What `yolo9000 detect` is pointed at: pictures, folders, patterns, standard input and addresses."""

import glob
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from model.pictures.suffixes import has_picture_suffix
from yolo9000.video.sources import is_video

STANDARD_INPUT: Final = "-"
WEB: Final = ("http://", "https://")
MOST_BYTES: Final = 100_000_000
"""Of a picture from standard input or from an address; the rest is not read, and so the picture is cut short."""

TIMEOUT: Final = 30.0  # seconds without a byte of an answer
_PATTERN: Final = frozenset("*?[")


@dataclass(frozen=True)
class Source:
    """A picture to look at.

    Attributes:
        name: what it is called in the output.
        read: gives its bytes.
        saved_as: its place in the folder of `--save`, without suffix.
        path: its file; None where it is none.
    """

    name: str
    read: Callable[[], bytes]
    saved_as: Path
    path: Path | None = None


class NothingToLookAtError(ValueError):
    """A folder or a pattern has no pictures; the message says which."""


def find_sources(given: Sequence[str], skipped: Callable[[str], object]) -> list[Source]:
    """Return the pictures that arguments stand for, in order.

    A name that is not there is a picture that will fail, so that it does not stop the others.

    Args:
        given: pictures, folders (with those within), patterns (`**` is any number of folders), `-` for a picture on
            standard input, and addresses that begin with http:// or https://.
        skipped: told of files in folders that are not named as pictures.

    Raises:
        NothingToLookAtError: a folder or a pattern has no pictures.
    """
    return [source for one in given for source in _sources_of(one, skipped)]


def find_videos(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the videos, cameras and streams among arguments, in order, and the other arguments.

    Raises:
        NothingToLookAtError: a pattern of videos has none.
    """
    videos, others = [], []
    for one in given:
        if not is_video(one):
            others.append(one)
        elif _PATTERN & set(one) and not Path(one).exists() and "://" not in one:
            found = sorted(name for name in glob.glob(one, recursive=True))  # noqa: PTH207
            if not found:
                raise NothingToLookAtError(f"{one}: no video has such a name")
            videos += found
        else:
            videos.append(one)
    return videos, others


def _sources_of(given: str, skipped: Callable[[str], object]) -> Iterator[Source]:
    path = Path(given)
    if given == STANDARD_INPUT:
        yield Source(given, lambda: sys.stdin.buffer.read(MOST_BYTES), Path("picture"))
    elif given.startswith(WEB):
        stem = PurePosixPath(urlsplit(given).path).stem or "picture"
        yield Source(given, partial(_fetch, given), Path(stem))
    elif path.is_dir():
        yield from _of_folder(path, skipped)
    elif _PATTERN & set(given) and not path.exists():
        found = sorted(name for name in glob.glob(given, recursive=True) if has_picture_suffix(name))  # noqa: PTH207
        if not found:
            raise NothingToLookAtError(f"{given}: no picture has such a name")
        yield from map(_of_file, map(Path, found))
    else:
        yield _of_file(path)


def _of_file(path: Path, below: Path | None = None) -> Source:
    place = Path(path.name) if below is None else path.relative_to(below)
    return Source(str(path), path.read_bytes, place.with_suffix(""), path)


def _of_folder(folder: Path, skipped: Callable[[str], object]) -> Iterator[Source]:
    files = sorted(path for path in folder.rglob("*") if not path.is_dir())
    found = [path for path in files if has_picture_suffix(path.name)]
    if not found:
        raise NothingToLookAtError(f"{folder}: there are no pictures in this folder")
    if len(found) < len(files):
        skipped(f"{folder}: skipped {len(files) - len(found)} files that are not named as pictures")
    yield from (_of_file(path, folder) for path in found)


def _fetch(address: str) -> bytes:
    """Fetch a picture; whoever types the command asks for it, where the service fetches nothing."""
    with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:  # noqa: S310 - it begins with http
        data: bytes = answer.read(MOST_BYTES)
    return data

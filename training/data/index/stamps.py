"""What tells that a set has changed: a digest of names, lengths and times."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from training.data.formats.archives import ANNOTATIONS

SHORT: Final = 32
"""Hexadecimal digits of a digest; half of SHA-256 is more than enough to notice a change."""


def digest_of(parts: Iterable[str]) -> str:
    """Return a digest of texts, which may be names that are not UTF-8."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode(errors="surrogateescape"))
    return digest.hexdigest()[:SHORT]


def stamp_of_files(paths: Iterable[Path]) -> str:
    """Return a stamp of files: their names, lengths and times of change.

    Raises:
        OSError: one of them is not there.
    """
    found = ((path, path.stat()) for path in paths)
    return digest_of(f"{path}|{status.st_size}|{status.st_mtime_ns}" for path, status in found)


def stamp_of_folders(folders: Iterable[Path]) -> str:
    """Return a stamp of folders: their names and times, which change when a file comes, goes or gets another name.

    It takes 5 us a folder, however many files there are. A file that is written over in its place is not noticed.

    Raises:
        OSError: one of them is not there.
    """
    return digest_of(f"{folder}|{folder.stat().st_mtime_ns}" for folder in folders)


def stamp_of_places(places: Sequence[Path]) -> str:
    """Return a stamp of files, of folders, and of the annotations (see `ANNOTATIONS`) that lie directly in a folder.

    Raises:
        OSError: one of them is not there.
    """
    files: list[Path] = []
    folders: list[Path] = []
    for place in places:
        if not place.is_dir():
            files.append(place)
            continue
        folders.append(place)
        with os.scandir(place) as entries:
            names = sorted(one.name for one in entries if os.path.splitext(one.name)[1].lower() in ANNOTATIONS)  # noqa: PTH122
        files += [place / name for name in names]
    return digest_of((stamp_of_files(files), stamp_of_folders(folders)))

"""Sets in zip files. They are unpacked once, into a folder beside the file, and read from there from then on."""

import json
import logging
import shutil
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import Final
from zipfile import BadZipFile, ZipFile, ZipInfo

from tqdm import tqdm

from model.pictures.suffixes import has_picture_suffix
from training.data.formats.detection_set import InvalidDatasetError, some_of

logger = logging.getLogger(__name__)

ANNOTATIONS: Final = frozenset({".txt", ".xml", ".json", ".yaml", ".yml", ".names", ".data"})
"""Suffixes of what is unpacked besides pictures."""
SOURCE: Final = ".source.json"
"""File in the folder that says which zip file it came from."""
CHUNK: Final = 1 << 20
BROKEN: Final = (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What zipfile raises of a damaged file, of one that is encrypted, and of a compression that it does not know."""


def is_zip(path: Path) -> bool:
    """Tell by its name whether a file is a zip file."""
    return path.suffix.lower() == ".zip"


def opened(path: Path) -> Path:
    """Return a zip file's folder, see `unpacked`, and any other path as it is."""
    return unpacked(path) if is_zip(path) else path


def unpacked(path: Path) -> Path:
    """Return the folder with the pictures and annotations of a zip file; unpack it where that has not been done.

    The folder is called NAME.unpacked; a zip file that has changed since is unpacked anew. Where there is nothing but
    one folder in it, that one is returned.

    Raises:
        InvalidDatasetError: it cannot be read, holds a name outside itself or one name twice, or is larger than what
            is left of the disk.
    """
    folder = path.with_name(f"{path.stem}.unpacked")
    try:
        status = path.stat()
        source = {"bytes": status.st_size, "changed": status.st_mtime_ns}
        if not _is_from(folder, source):
            _unpack(path, folder, source)
    except BROKEN as error:
        raise InvalidDatasetError(f"{path}: cannot be unpacked ({error}); fetch it again, or unpack it") from error
    except OSError as error:
        reason = error.strerror or error
        raise InvalidDatasetError(
            f"{path}: cannot be unpacked beside itself ({reason}); unpack it and give the folder"
        ) from error
    inside = [one for one in folder.iterdir() if one.name != SOURCE]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _is_from(folder: Path, source: dict[str, int]) -> bool:
    try:
        return bool(json.loads((folder / SOURCE).read_bytes()) == source)
    except (OSError, ValueError):
        return False


def _unpack(path: Path, folder: Path, source: dict[str, int]) -> None:
    """Unpack into a temporary folder, which then takes its place."""
    if folder.exists() and not (folder / SOURCE).is_file():
        raise InvalidDatasetError(f"{folder}: is in the way of unpacking {path.name}; rename or remove it")
    with ZipFile(path) as archive:
        members = _members(path, archive)
        left = shutil.disk_usage(path.parent).free
        size = sum(one.file_size for one in members.values())
        if size > left:
            raise InvalidDatasetError(f"{path}: takes {size / 1e6:,.0f} MB unpacked, and {left / 1e6:,.0f} MB are left")
        temporary = Path(mkdtemp(prefix=f".{path.stem}.", dir=path.parent))
        try:
            with tqdm(desc=f"unpacking {path.name}", total=size, unit="B", unit_scale=True, disable=None) as bar:
                for name, one in members.items():
                    target = temporary / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(one) as packed, target.open("wb") as file:
                        while chunk := packed.read(CHUNK):
                            bar.update(file.write(chunk))
            (temporary / SOURCE).write_text(json.dumps(source))
            temporary.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _members(path: Path, archive: ZipFile) -> dict[str, ZipInfo]:
    """Return what is to be unpacked and where to: pictures and annotations, without hidden files and a Mac's copies."""
    found, others = dict[str, ZipInfo](), Counter[str]()
    for one in archive.infolist():
        name = PurePosixPath(one.filename.replace("\\", "/"))  # some programs of Windows write its separator
        if name.is_absolute() or ".." in name.parts:
            raise InvalidDatasetError(
                f"{path}: holds the name {one.filename!r}, which lies outside it; do not trust it"
            )
        if one.is_dir() or any(part.startswith(".") or part == "__MACOSX" for part in name.parts):
            continue
        if not has_picture_suffix(name.name) and name.suffix.lower() not in ANNOTATIONS:
            others[name.suffix.lower() or "without a suffix"] += 1
        elif found.setdefault(str(name), one) is not one:
            raise InvalidDatasetError(f"{path}: holds {name} more than once; pack it again")
    if others:
        named = some_of([f"{count} {suffix}" for suffix, count in sorted(others.items())])
        logger.warning("%s: skipped %d files that are no pictures or annotations: %s", path, others.total(), named)
    return found

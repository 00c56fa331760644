"""How the names of picture files end. What a file is in truth, `decode_picture` tells from its bytes."""

from pathlib import PurePath
from typing import Final

PICTURE_SUFFIXES: Final = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
    ".heif",
)
"""In lower case, with the dot. HEIC is among them even without the extra `heic`: its pictures are refused by name, not
passed over."""


def has_picture_suffix(name: str) -> bool:
    """Tell whether a file's name or path ends as a picture's does, in any case."""
    return PurePath(name).suffix.lower() in PICTURE_SUFFIXES

"""What a file is read as, by its name."""

from typing import Literal

Kind = Literal["picture", "tar", "parquet"]

PICTURES = (
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
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
PARQUETS = (".parquet",)


def is_picture(name: str) -> bool:
    """Tell whether a name is that of a picture. What it is in truth is told from its bytes, later."""
    return name.lower().endswith(PICTURES)


def kind_of(name: str, *, every_file: bool = False) -> Kind | None:
    """Return what a file is read as; None where it is passed over.

    Args:
        name: its name.
        every_file: take every file that is no container for a picture, whatever its name.
    """
    lower = name.lower()
    if lower.endswith(TARS):
        return "tar"
    if lower.endswith(PARQUETS):
        return "parquet"
    return "picture" if every_file or is_picture(lower) else None

"""What a file is read as, by its name."""

from typing import Literal

from model.pictures.suffixes import has_picture_suffix

Kind = Literal["picture", "tar", "parquet"]

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
PARQUETS = (".parquet",)


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
    return "picture" if every_file or has_picture_suffix(name) else None

"""Whether files and folders can be read, and why not, in words for whoever can change that."""

import os
from pathlib import Path


def why_unreadable(error: OSError) -> str:
    """Return the reason of an error; where permission is missing, who it is missing to."""
    if isinstance(error, PermissionError):
        return f"permission denied to {_user()}"
    return (error.strerror or str(error)).lower()


def _user() -> str:
    if not hasattr(os, "geteuid"):  # Windows
        return "this user"
    return f"user {os.geteuid()}, group {os.getegid()}"


def list_folder(folder: Path) -> list[Path]:
    """Return what is in a folder.

    Raises:
        OSError: it is not there, may not be listed, or what is in it may not be reached.
    """
    found = sorted(folder.iterdir())
    os.stat(f"{folder}/.")  # noqa: PTH116 - a Path would lose the dot, and with it the question
    return found

"""Text files that people write, whatever their editor puts in front."""

import codecs
from pathlib import Path
from typing import Literal


def read_text(path: Path, errors: Literal["strict", "replace"] = "strict") -> str:
    """Read a text in UTF-8, without the byte order mark that Notepad and Excel write before it.

    Args:
        path: the file.
        errors: what becomes of bytes that are no UTF-8.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is not in UTF-8.
    """
    return path.read_text("utf-8-sig", errors)


def read_json(path: Path) -> bytes:
    """Read a JSON file as it is parsed: the same mark is left out.

    Raises:
        OSError: it cannot be read.
    """
    return path.read_bytes().removeprefix(codecs.BOM_UTF8)

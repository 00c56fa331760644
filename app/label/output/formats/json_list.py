"""A list of JSON objects, written one a line as they come."""

import json
from collections.abc import Mapping
from typing import Any, TextIO


class JsonList:
    """A list in a file; the brackets are the caller's.

    Args:
        file: that it is written to.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.length = 0

    def add(self, value: Mapping[str, Any]) -> None:
        """Write another object."""
        self._file.write(",\n" if self.length else "\n")
        self._file.write(json.dumps(value, ensure_ascii=False))
        self.length += 1

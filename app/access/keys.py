"""API keys: the service knows their digests only, so that nobody can take a key from its settings.

A key is 32 random bytes, so that one round of SHA-256 is enough to hide it: nobody can go through all keys, as one
can with passwords, and a slow hash would only give whoever sends wrong keys a way to keep the service busy.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from model.files.text import read_text

PREFIX = "y9k_"
"""What every key begins with, so that a scanner for leaked secrets can find it."""

_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}):sha256:(?P<digest>[0-9a-f]{64})", re.ASCII)


class InvalidKeyEntryError(ValueError):
    """What is given as an API key's entry is none; the message does not repeat it, as it may be the key itself."""


@dataclass(frozen=True)
class KeyEntry:
    """What the service knows of an API key: the name the log calls it by, and its SHA-256 digest."""

    name: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an entry, `NAME:sha256:DIGEST`.

        Raises:
            InvalidKeyEntryError: it is something else.
        """
        match = _ENTRY.fullmatch(text.strip())
        if match is None:
            raise InvalidKeyEntryError(
                "an API key must have the form NAME:sha256:DIGEST, 64 hexadecimal digits; `yolo9000 key NAME` makes it"
            )
        return cls(match["name"], bytes.fromhex(match["digest"]))

    def __str__(self) -> str:
        return f"{self.name}:sha256:{self.digest.hex()}"


def make_key(name: str) -> tuple[str, KeyEntry]:
    """Make a new key and its entry.

    Raises:
        InvalidKeyEntryError: the name has other characters than letters, digits, '.', '_' and '-', or is too long.
    """
    key = PREFIX + secrets.token_urlsafe(32)
    return key, KeyEntry.parse(f"{name}:sha256:{hashlib.sha256(key.encode()).hexdigest()}")


def read_entries(path: Path) -> list[KeyEntry]:
    """Read a file of entries, one in a line; empty lines and those that begin with # do not count.

    Raises:
        InvalidKeyEntryError: a line is no entry; the message names it by its number.
        OSError: the file cannot be read.
    """
    entries = []
    for number, line in enumerate(read_text(path, "replace").splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                entries.append(KeyEntry.parse(line))
            except InvalidKeyEntryError as error:
                raise InvalidKeyEntryError(f"{path}, line {number}: {error}") from None
    return entries


class KeyRing:
    """The keys the service accepts."""

    def __init__(self, entries: Iterable[KeyEntry]) -> None:
        """Take the entries.

        Raises:
            InvalidKeyEntryError: two have the same name.
        """
        self._entries = tuple(entries)
        names = [entry.name for entry in self._entries]
        for name in names:
            if names.count(name) > 1:
                raise InvalidKeyEntryError(f"two API keys have the name {name}")

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keys, in their order."""
        return tuple(entry.name for entry in self._entries)

    def name_of(self, key: str) -> str | None:
        """Return the name of a key, None if it is not known.

        Each entry is compared, and in constant time, so that the time tells nothing of any digest.
        """
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        matches = [entry.name for entry in self._entries if hmac.compare_digest(entry.digest, digest)]
        return matches[0] if matches else None

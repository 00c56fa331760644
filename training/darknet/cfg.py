"""darknet's cfg files: sections of options, in the order of the layers.

    [convolutional]
    filters=32
    size=3

The first section is [net] (or [network]). Text from # or ; on is a comment; blanks mean nothing; of an option that
stands twice the first counts, as in darknet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from model.files.text import read_text
from training.darknet.errors import InvalidCfgError

LARGEST_FILE: Final = 1 << 20  # bytes; the longest cfg of darknet has 20 kB
NET_SECTIONS: Final = ("net", "network")


@dataclass(frozen=True)
class Section:
    """One section of a cfg.

    Attributes:
        kind: what stands in the brackets, such as "convolutional".
        line: where it stands, from 1.
        options: as they are written.
    """

    kind: str
    line: int
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"[{self.kind}] at line {self.line}"

    def text(self, key: str) -> str | None:
        """Return an option as it is written, None where it is not."""
        return self.options.get(key)

    def integer(self, key: str, default: int, *, least: int = 0, most: int = 1 << 24) -> int:
        """Return an option as a whole number within bounds.

        Raises:
            InvalidCfgError: it is none, or outside the bounds.
        """
        text = self.options.get(key)
        if text is None:
            return default
        try:
            value = int(text)
        except ValueError:
            raise InvalidCfgError(f"{self}: {key}={text[:40]} is not a whole number") from None
        if not least <= value <= most:
            raise InvalidCfgError(f"{self}: {key}={text[:40]} must be {least} to {most}")
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return an option's numbers between commas; none where it is not written.

        Raises:
            InvalidCfgError: one is not a number.
        """
        text = self.options.get(key, "")
        try:
            return tuple(float(part) for part in text.split(",") if part.strip())
        except ValueError:
            raise InvalidCfgError(f"{self}: {key} holds something that is not a number") from None


@dataclass(frozen=True)
class Cfg:
    """A whole cfg: [net], and a section for each layer, the first being layer 0."""

    net: Section
    layers: tuple[Section, ...]

    def input_size(self) -> int:
        """Return the side of [net]'s square input in pixels.

        Raises:
            InvalidCfgError: it has none, it is not square, or not of three channels.
        """
        width, height = (self.net.integer(key, 0, most=1 << 14) for key in ("width", "height"))
        if not width or width != height:
            raise InvalidCfgError(f"{self.net}: width={width} and height={height}, but the input must be a square")
        if self.net.integer("channels", 0) != 3:
            raise InvalidCfgError(f"{self.net}: the input must have channels=3")
        return width


def parse_cfg(text: str) -> Cfg:
    """Read the text of a cfg.

    Raises:
        InvalidCfgError: it is no cfg, or has no layers.
    """
    sections = list(_sections(text))
    if not sections or sections[0].kind not in NET_SECTIONS:
        raise InvalidCfgError("a cfg begins with [net], and this does not")
    if len(sections) == 1:
        raise InvalidCfgError("the cfg has no layers")
    return Cfg(sections[0], tuple(sections[1:]))


def _sections(text: str) -> Iterator[Section]:
    section: Section | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.split("#")[0].split(";")[0].strip()
        if not content:
            continue
        if content.startswith("["):
            if section is not None:
                yield section
            section = Section(content.strip("[]").strip(), number)
            continue
        key, equals, value = content.partition("=")
        if section is None or not equals:
            raise InvalidCfgError(f"line {number} of the cfg is neither a [section] nor an option=value")
        section.options.setdefault(key.strip(), value.strip())
    if section is not None:
        yield section


def read_cfg(path: Path) -> tuple[Cfg, str]:
    """Read a cfg file; return it and its text.

    Raises:
        InvalidCfgError: it cannot be read, or is no cfg.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InvalidCfgError(f"{path}: {path.stat().st_size} bytes are too many for a cfg")
        text = read_text(path)
    except OSError as error:
        raise InvalidCfgError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InvalidCfgError(f"{path}: is not text, so it is no cfg") from error
    try:
        return parse_cfg(text), text
    except InvalidCfgError as error:
        raise InvalidCfgError(f"{path}: {error}") from error

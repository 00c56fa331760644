"""The nouns of WordNet 3.0: what a synset is called, what it means and what it is a kind of.

A synset's wnid is the byte at which its line starts in the file data.noun, so lines are read as they are asked for.
The format is that of WordNet's manual page wndb(5).
"""

import functools
from pathlib import Path
from typing import Final, Self

from training.command_line import ConfigurationError
from training.wordtree.packaged_tree import Synset, read_synset

DEFAULT_FOLDER: Final = Path("/usr/share/wordnet")
"""Where Debian's package wordnet-base puts the files."""

HYPERNYM_POINTERS: Final = frozenset({"@", "@i"})
"""'Is a kind of' and 'is an instance of': the Nile is an instance of a river."""


class WordNet:
    """The noun synsets of one data.noun.

    Args:
        path: the file, for messages.
        nouns: its content; b"" for a WordNet without nouns, which a list of one's own labels needs no more of.
    """

    def __init__(self, path: Path, nouns: bytes) -> None:
        self.path, self._nouns = path, nouns
        self.synset = functools.cache(self._synset)
        self.hypernyms = functools.cache(self._hypernyms)

    @classmethod
    def read(cls, folder: Path = DEFAULT_FOLDER) -> Self:
        """Read the file of a folder.

        Raises:
            ConfigurationError: it cannot be read.
        """
        path = folder / "data.noun"
        try:
            return cls(path, path.read_bytes())
        except OSError as error:
            raise ConfigurationError(
                f"wordnet: {path} cannot be read ({error.strerror}); install Debian's package wordnet-base, or give "
                f"the folder of WordNet 3.0's database files"
            ) from error

    def __contains__(self, wnid: str) -> bool:
        start = int(wnid[1:])
        before = self._nouns[start - 1 : start] if start else b"\n"
        return before == b"\n" and self._nouns[start : start + len(wnid)] == wnid[1:].encode() + b" "

    def _synset(self, wnid: str) -> Synset:
        """Return the words and the definition of a synset.

        Raises:
            ConfigurationError: there is no such synset in the file, or its line is damaged.
        """
        try:
            return read_synset(self._nouns, wnid)
        except (ValueError, IndexError) as error:
            raise self._damaged(wnid) from error

    def _hypernyms(self, wnid: str) -> tuple[str, ...]:
        """Return what a synset is a kind of or an instance of, in WordNet's order; () for the root.

        Raises:
            ConfigurationError: there is no such synset in the file, or its line is damaged.
        """
        if wnid not in self:
            raise self._damaged(wnid)
        start = int(wnid[1:])
        line = self._nouns[start : self._nouns.find(b"\n", start)].decode("latin-1").partition(" | ")[0]
        fields = line.split(" ")
        try:
            pointers = 4 + 2 * int(fields[3], 16)  # a word takes two fields; their number is hexadecimal
            count = int(fields[pointers])
            found = [fields[first : first + 4] for first in range(pointers + 1, pointers + 1 + 4 * count, 4)]
            return tuple(f"n{offset}" for symbol, offset, _, _ in found if symbol in HYPERNYM_POINTERS)
        except (ValueError, IndexError) as error:
            raise self._damaged(wnid) from error

    def _damaged(self, wnid: str) -> ConfigurationError:
        return ConfigurationError(
            f"wordnet: {self.path} has no synset at {wnid}; version 3.0 is needed, its file as it was published"
        )

"""What concepts are called in formats that know a class by its name alone.

Names are ambiguous: 662 concepts of the packaged tree share one. Such a name is followed by the WordNet id. The label
map leads back from names to ids, so that what a person corrected can be trained on.
"""

from collections import Counter

from app.label.archive.shards import put_text
from model.archives.locations import Location
from model.wordtree import WordTree

LABEL_MAP = "label_map.txt"


class Vocabulary:
    """The classes that occur, numbered from 0 as they do.

    Args:
        tree: the model's.
    """

    def __init__(self, tree: WordTree) -> None:
        self._tree = tree
        self._plain = [" ".join(name.split()) for name in tree.names]
        self._uses = Counter(name.casefold() for name in self._plain)
        self._numbers: dict[int, int] = {}

    def number(self, wnid: str) -> int:
        """Return a concept's number; a new one if it has none yet."""
        return self._numbers.setdefault(self._tree.index(wnid), len(self._numbers))

    def name(self, wnid: str) -> str:
        """Return a concept's name, which no other has, and count it among those that occur."""
        self.number(wnid)
        return self._name(self._tree.index(wnid))

    def names(self) -> list[str]:
        """Return the names of those that occur, by number."""
        return [self._name(node) for node in self._numbers]

    def write_label_map(self, location: Location) -> None:
        """Write a line `WNID NAME` for each that occurs, in the order of the tree."""
        lines = (f"{self._tree.wnids[node]} {self._name(node)}\n" for node in sorted(self._numbers))
        put_text(location, "".join(lines), LABEL_MAP)

    def _name(self, node: int) -> str:
        name, wnid = self._plain[node], self._tree.wnids[node]
        if not name.isprintable() or "#" in name:  # what follows it would be a comment of the label map
            return wnid
        return name if self._uses[name.casefold()] == 1 else f"{name} ({wnid})"

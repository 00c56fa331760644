"""Write the packaged WordTree from darknet's 9k.tree and 9k.names and WordNet 3.0's data.noun.

    python -m training.wordtree.packaged_tree --darknet /usr/share/darknet --wordnet /usr/share/wordnet

The two folders are where Debian's packages `darknet` and `wordnet-base` put their files. The same inputs
always give the same bytes. The nodes and their order are darknet's, since models are trained against them;
names, synonyms and definitions are WordNet's. darknet calls three nodes by a name that WordNet does not
give them: 'surfboard' (n02731900, an aquaplane), 'springbok antelope' (n02423589) and 'herpes simplex'
(n01339083). There WordNet's name stands and darknet's becomes a synonym.
"""

from __future__ import annotations

import argparse
import gzip
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.tree_files import PACKAGED_TREE_FILE

# In data.noun the definition is followed by quoted examples: `the act of x; "he did x"; "x was done"`.
FIRST_EXAMPLE = re.compile(r'[;:,]?\s*"')


@dataclass(frozen=True)
class Synset:
    """One noun concept of WordNet: its words, the commonest first, and its definition without examples."""

    words: tuple[str, ...]
    definition: str


def parse_synset(line: str) -> Synset:
    """Read a line of data.noun: 'offset file n count word id word id ... | gloss' (see WordNet's wndb(5)).

    The count of words is hexadecimal, and words have underscores for spaces.
    """
    head, _, gloss = line.partition(" | ")
    fields = head.split(" ")
    words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
    return Synset(tuple(word.replace("_", " ") for word in words), definition_of(gloss))


def definition_of(gloss: str) -> str:
    """Return a gloss without its quoted examples."""
    return FIRST_EXAMPLE.split(gloss.strip(), maxsplit=1)[0].strip(" ;")


def read_synset(nouns: bytes, wnid: str) -> Synset:
    """Read the synset of a wnid, whose number is its line's place in data.noun, in bytes.

    Raises:
        ValueError: no synset starts there, so this is another version of WordNet.
    """
    start = int(wnid[1:])
    line = nouns[start : nouns.find(b"\n", start)]
    if not line.startswith(wnid[1:].encode() + b" "):
        raise ValueError(f"{wnid} is no noun of this WordNet; version 3.0 is needed.")
    return parse_synset(line.decode("ascii"))


def packaged_text(darknet: Path, wordnet: Path) -> str:
    """Return the packaged tree's lines from the two folders of files.

    Raises:
        ValueError: the files do not fit together.
        OSError: one of them cannot be read.
    """
    nodes = (darknet / "data" / "9k.tree").read_text("ascii").splitlines()
    darknet_names = (darknet / "data" / "9k.names").read_text("ascii").splitlines()
    nouns = (wordnet / "data.noun").read_bytes()
    lines = []
    for node, darknet_name in zip(nodes, darknet_names, strict=True):
        wnid, parent = node.split()
        synset = read_synset(nouns, wnid)
        words = list(dict.fromkeys((*synset.words, darknet_name)))
        columns = (wnid, parent, words[0], "|".join(words[1:]), synset.definition)
        if any(character in text for text in (*words, *columns[4:]) for character in "\t\n|"):
            raise ValueError(f"{wnid} has a tab, line end or | in its words or definition.")
        lines.append("\t".join(columns) + "\n")
    return "".join(lines)


def compress(text: str) -> bytes:
    """Compress with gzip, with nothing of the time or the machine in the header."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as packed:
        packed.write(text.encode())
    return buffer.getvalue()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Write the packaged tree of 9,418 concepts.")
    parser.add_argument(
        "--darknet",
        type=Path,
        default=Path("/usr/share/darknet"),
        help="folder with data/9k.tree and data/9k.names (default: %(default)s)",
    )
    parser.add_argument(
        "--wordnet",
        type=Path,
        default=Path("/usr/share/wordnet"),
        help="folder with WordNet 3.0's data.noun (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, default=PACKAGED_TREE_FILE, help="file to write (default: %(default)s)")
    options = parser.parse_args(arguments)
    packed = compress(packaged_text(options.darknet, options.wordnet))
    unfinished = options.output.with_name(options.output.name + ".part")
    unfinished.write_bytes(packed)
    unfinished.replace(options.output)


if __name__ == "__main__":
    main()

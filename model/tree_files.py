"""WordTrees in files, and the one that comes with the package."""

import functools
import gzip
from pathlib import Path

from model.wordtree import WordTree

PACKAGED_TREE_FILE = Path(__file__).parent / "data" / "wordtree.tsv.gz"
"""The packaged tree, compressed with gzip: a line for each node, with its wnid, parent, name, synonyms
joined by | and definition between tabs. training/wordtree/packaged_tree.py writes it."""


def read_word_tree(path: Path) -> WordTree:
    """Read a tree from a file of `PACKAGED_TREE_FILE`'s layout; one whose name ends in .gz is decompressed.

    Raises:
        OSError: the file cannot be read, or is no gzip file although it says so.
        ValueError: its lines are not as they should be, or do not make a tree.
    """
    content = path.read_bytes()
    lines = (
        (gzip.decompress(content) if path.suffix == ".gz" else content)
        .decode("utf-8-sig")
        .removesuffix("\n")
        .split("\n")
    )
    rows = [line.split("\t") for line in lines]
    for number, row in enumerate(rows, start=1):
        if len(row) != 5:
            raise ValueError(f"{path}, line {number}: a node has 5 columns with tabs between, not {len(row)}.")
    wnids, parents, names, synonyms, definitions = zip(*rows, strict=True)
    others = [tuple(joined.split("|")) if joined else () for joined in synonyms]
    return WordTree(wnids, [int(parent) for parent in parents], names, others, definitions)


@functools.cache
def packaged_tree() -> WordTree:
    """Return YOLO9000's tree of 9,418 concepts, with names, synonyms and definitions from WordNet 3.0."""
    return read_word_tree(PACKAGED_TREE_FILE)

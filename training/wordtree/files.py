"""Writes a WordTree: as a table, as a model file's metadata has it, or as darknet does."""

from pathlib import Path
from typing import Final

from model.metadata import TreeMetadata
from model.wordtree import WordTree
from training.files import replace_file
from training.wordtree.packaged_tree import compress

SUFFIXES: Final = (".tsv", ".gz", ".json", ".tree")


def write_tree(path: Path, tree: WordTree) -> tuple[Path, ...]:
    """Write a tree; the name's end says how. Return the files written.

    .tsv or .tsv.gz: what `model.wordtree.read_word_tree` reads. .json: a `model.metadata.TreeMetadata`. .tree:
    darknet's 'wnid parent' a line, with the names beside it, a line each, in a file that ends in .names.

    Raises:
        ValueError: another end of the name.
    """
    match path.suffix:
        case ".tsv":
            content = {path: table(tree).encode()}
        case ".gz":
            content = {path: compress(table(tree))}
        case ".json":
            content = {path: TreeMetadata.of(tree).model_dump_json().encode() + b"\n"}
        case ".tree":
            parents = zip(tree.wnids, tree.parents.tolist(), strict=True)
            content = {
                path: "".join(f"{wnid} {parent}\n" for wnid, parent in parents).encode(),
                path.with_suffix(".names"): "".join(f"{name}\n" for name in tree.names).encode(),
            }
        case _:
            raise ValueError(f"the name of a tree's file ends in {', '.join(SUFFIXES)}, not {path.suffix!r}")
    for place, data in content.items():
        replace_file(place, data)
    return tuple(content)


def table(tree: WordTree) -> str:
    """Return a line for each node: wnid, parent, name, synonyms joined by |, definition, with tabs between."""
    columns = zip(tree.wnids, tree.parents.tolist(), tree.names, tree.synonyms, tree.definitions, strict=True)
    return "".join(
        f"{wnid}\t{parent}\t{_plain(name)}\t{'|'.join(map(_plain, synonyms))}\t{_plain(definition)}\n"
        for wnid, parent, name, synonyms, definition in columns
    )


def _plain(text: str) -> str:
    """Return a text without the characters that separate columns and synonyms."""
    return " ".join(text.replace("|", "/").split())

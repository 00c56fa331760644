"""A written tree is read again as it was."""

from pathlib import Path

import pytest

from model.metadata import TreeMetadata
from model.tree_files import read_word_tree
from model.wordtree import WordTree
from tests.model_files import tiny_tree
from training.wordtree.files import write_tree


@pytest.mark.parametrize("name", ["tree.tsv", "deep/tree.tsv.gz"])
def test_a_table_is_read_as_it_was(tmp_path: Path, name: str) -> None:
    tree = tiny_tree()
    assert write_tree(tmp_path / name, tree) == (tmp_path / name,)
    again = read_word_tree(tmp_path / name)
    assert again.digest == tree.digest
    assert (again.names, again.synonyms, again.definitions) == (tree.names, tree.synonyms, tree.definitions)
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [Path(name).name]


def test_the_json_is_a_model_file_s_tree(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree.json", tiny_tree())
    metadata = TreeMetadata.model_validate_json((tmp_path / "tree.json").read_text())
    assert metadata.build().digest == tiny_tree().digest


def test_darknet_s_two_files(tmp_path: Path) -> None:
    assert write_tree(tmp_path / "a.tree", tiny_tree()) == (tmp_path / "a.tree", tmp_path / "a.names")
    assert (tmp_path / "a.tree").read_text().splitlines()[:3] == ["n00002684 -1", "n00020827 -1", "n00015388 0"]
    assert (tmp_path / "a.names").read_text().splitlines()[:3] == ["object", "matter", "animal"]


def test_separators_within_texts_are_replaced(tmp_path: Path) -> None:
    write_tree(tmp_path / "a.tsv", WordTree(["a"], [-1], ["a\tb\nc"], [["d|e"]], ["f\r\ng"]))
    again = read_word_tree(tmp_path / "a.tsv")
    assert (again.names, again.synonyms, again.definitions) == (("a b c",), (("d/e",),), ("f g",))


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.tsv, \.gz, \.json, \.tree, not '\.txt'"):
        write_tree(tmp_path / "a.txt", tiny_tree())

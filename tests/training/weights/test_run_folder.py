"""A run's folder: free or in use, and the tree inside."""

from pathlib import Path

import pytest

from model.tree_files import packaged_tree
from model.wordtree import WordTree
from tests.model_files import tiny_tree
from training.command_line import ConfigurationError
from training.weights.checkpoint import FolderInUseError, InvalidCheckpointError, save_checkpoint
from training.weights.run_folder import load_tree, open_run_folder, read_tree_file, save_tree
from training.wordtree.files import write_tree


def test_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert open_run_folder(folder, resume=False) is None
    with pytest.raises(InvalidCheckpointError, match="there is no checkpoint"):
        open_run_folder(folder, resume=True)
    save_checkpoint(folder, {}, {"step": 3})
    assert open_run_folder(folder, resume=True) == {"step": 3}
    with pytest.raises(FolderInUseError, match="add --resume"):
        open_run_folder(folder, resume=False)


@pytest.mark.parametrize("name", ["a.json", "a.tsv", "a.tsv.gz", "a.tree"])
def test_trees_that_wordtree_writes(tmp_path: Path, name: str) -> None:
    tree = tiny_tree()
    write_tree(tmp_path / name, tree)
    found = read_tree_file(tmp_path / name)
    assert found.digest == tree.digest
    assert found.names == tree.names


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", "{}", "holds no WordTree"),
        ("a.json", None, r"cannot be read \(No such file"),
        ("a.tsv", "n1\t-1\n", "holds no WordTree .*5 columns"),
        ("a.tsv.gz", "text", "cannot be read"),
        ("a.tree", "n1 7\n", "holds no WordTree"),
        ("a.txt", "", r"ends in \.json, \.tsv, \.tsv\.gz or \.tree"),
    ],
)
def test_what_is_no_tree(tmp_path: Path, name: str, content: str | None, reason: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigurationError, match=rf"{name}: .*{reason}"):
        read_tree_file(tmp_path / name)


def test_a_runs_tree(tmp_path: Path) -> None:
    save_tree(tmp_path, packaged_tree())
    assert not list(tmp_path.iterdir())
    assert load_tree(tmp_path, {"tree": packaged_tree().digest}) is packaged_tree()
    with pytest.raises(InvalidCheckpointError, match="another WordTree, sha256:other"):
        load_tree(tmp_path, {"tree": "sha256:other"})
    tree = tiny_tree()
    save_tree(tmp_path, tree)
    assert load_tree(tmp_path, {"tree": tree.digest}).names == tree.names
    other = WordTree(["n1"], [-1])
    with pytest.raises(InvalidCheckpointError, match=r"than its tree\.json holds"):
        load_tree(tmp_path, {"tree": other.digest})

"""A run's folder: whether it is free, and the WordTree that its checkpoint's nodes belong to."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from model.files.locks import locked
from model.files.text import read_json
from model.metadata import TreeMetadata
from model.tree_files import packaged_tree, read_word_tree
from model.wordtree import WordTree
from training.command_line import ConfigurationError
from training.darknet.errors import InvalidLabelsError
from training.darknet.labels import read_tree
from training.weights.checkpoint import (
    FolderInUseError,
    InvalidCheckpointError,
    has_checkpoint,
    load_state,
    write_whole,
)

logger = logging.getLogger(__name__)

CONFIGURATION: Final = "configuration.json"
TREE: Final = "tree.json"
BEST: Final = "best"
"""The folder in a run's with the averaged weights that were validated best, and all that goes with them."""


def open_run_folder(folder: Path, *, resume: bool) -> dict[str, Any] | None:
    """Make a run's folder, and return the state of the checkpoint that is resumed.

    Raises:
        FolderInUseError: a fresh start into a folder with a checkpoint.
        InvalidCheckpointError: there is nothing to resume.
    """
    if resume:
        return load_state(folder)
    if has_checkpoint(folder):
        raise FolderInUseError(
            f"{folder} already holds a run: add --resume to continue it, or choose another output folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run's folder, so that no second run writes into it; who is killed holds nothing.

    Workers of torchrun outlive it where it alone is killed, and would go on beside the run that is resumed.

    Raises:
        FolderInUseError: another run holds it.
    """
    if os.name != "posix":  # there are no such locks
        yield
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder, wait=False))
        except BlockingIOError as error:
            raise FolderInUseError(f"{folder}: another run is using it; wait for its end, or stop it") from error
        except OSError as error:  # some network file systems have none either
            logger.info("%s: cannot be locked (%s)", folder, error.strerror)
        yield


def save_tree(folder: Path, tree: WordTree) -> None:
    """Keep a run's tree in its folder, unless it is the packaged one."""
    if tree.digest != packaged_tree().digest:
        write_whole(folder / TREE, TreeMetadata.of(tree).model_dump_json())


def load_tree(folder: Path, state: Mapping[str, Any]) -> WordTree:
    """Return the tree of a run.

    Raises:
        InvalidCheckpointError: it is another one than the packaged, and not in the folder.
    """
    packaged, digest = packaged_tree(), state.get("tree")
    if digest == packaged.digest:
        return packaged
    try:
        tree = read_tree_file(folder / TREE)
    except ConfigurationError as error:
        raise InvalidCheckpointError(f"{folder}: trained on another WordTree, {digest} ({error})") from error
    if tree.digest != digest:
        raise InvalidCheckpointError(f"{folder}: trained on another WordTree, {digest}, than its {TREE} holds")
    return tree


def read_tree_file(path: Path) -> WordTree:
    """Read a tree that `wordtree` wrote: .json, .tsv, .tsv.gz, or darknet's .tree with its .names beside it.

    Raises:
        ConfigurationError: it cannot be read, or holds no tree.
    """
    try:
        match path.suffix:
            case ".json":
                return TreeMetadata.model_validate_json(read_json(path)).build()
            case ".tsv" | ".gz":
                return read_word_tree(path)
            case ".tree":
                names = path.with_suffix(".names")
                return read_tree(path, names if names.is_file() else None)
    except OSError as error:
        raise ConfigurationError(f"{path}: the tree cannot be read ({error.strerror or error})") from error
    except (ValidationError, InvalidLabelsError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"{path}: holds no WordTree ({reason}); `wordtree --output` writes one") from error
    raise ConfigurationError(f"{path}: the name of a tree's file ends in .json, .tsv, .tsv.gz or .tree")

"""Classification pictures laid out as one folder a class: SET/CLASS/NAME.jpg (torchvision's ImageFolder layout).

A class is a WordNet id, or a name that `training.data.formats.label_map` finds the concept of.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from model.pictures.suffixes import has_picture_suffix
from model.wordtree import WordTree
from training.data.formats.archives import opened
from training.data.formats.detection_set import InvalidDatasetError, Refuse, refuse_set
from training.data.formats.held_out import part_of
from training.data.formats.label_map import categories_of
from training.data.formats.picture_files import list_pictures
from training.data.pictures.columns import LabelOnlyPictures

logger = logging.getLogger(__name__)


def read_folder(
    folder: Path,
    tree: WordTree,
    label_map: Mapping[str, str] | None = None,
    *,
    held_out_every: int = 0,
    held_out: bool = False,
    refuse: Refuse = refuse_set,
) -> LabelOnlyPictures:
    """List the pictures of a folder of class folders, in sorted order.

    Args:
        folder: its sub-folders are named by wnid or by class; or a zip file of it.
        tree: the WordTree the labels belong to.
        label_map: the node's id of each class name.
        held_out_every: leave out the last picture of every run of this many in each class, so that an evaluation has
            some of every class that no training saw; 0 keeps all.
        held_out: keep those and leave the others out instead.
        refuse: what to do about a sub-folder whose concept is not clear.

    Raises:
        InvalidDatasetError: no such folder, a sub-folder that is no one concept of the tree, or no picture left.
    """
    folder = opened(folder)
    if not folder.is_dir():
        raise InvalidDatasetError(f"{folder}: there is no such folder of classification pictures")
    loose = [path.name for path in folder.iterdir() if has_picture_suffix(path.name) and path.is_file()]
    if loose:
        logger.warning("%s: skipped %d pictures that are in no class's folder", folder, len(loose))
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    categories = categories_of([path.name for path in classes], tree, label_map, folder, refuse=refuse)

    def listed() -> Iterator[tuple[bytes, int]]:
        for one in classes:
            node = categories[one.name].node
            for path in part_of(list_pictures(one), held_out_every, held_out=held_out):
                yield os.fsencode(f"{one.name}/{path.name}"), node

    pictures = LabelOnlyPictures.named(listed(), folder)
    if not pictures:
        raise InvalidDatasetError(
            f"{folder}: holds no pictures in folders named by class, or none that is"
            f"{'' if held_out else ' not'} held out"
        )
    return pictures

"""Classification pictures laid out as one folder a synset: SET/WNID/NAME.jpg (torchvision's ImageFolder layout)."""

import logging
from dataclasses import dataclass
from pathlib import Path

from model.pictures.suffixes import has_picture_suffix
from model.wordtree import WordTree
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.held_out import part_of
from training.data.formats.picture_files import list_pictures

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelOnlyPicture:
    """A picture and the node of the tree it shows."""

    path: Path
    node: int


def read_folder(
    folder: Path, tree: WordTree, *, held_out_every: int = 0, held_out: bool = False
) -> tuple[LabelOnlyPicture, ...]:
    """List the pictures of a folder of synset folders, in sorted order.

    Args:
        folder: its sub-folders are named by wnid.
        tree: the WordTree the labels belong to.
        held_out_every: leave out the last picture of every run of this many in each synset, so that an evaluation has
            some of every synset that no training saw; 0 keeps all.
        held_out: keep those and leave the others out instead.

    Raises:
        InvalidDatasetError: no such folder, a sub-folder that is no concept of the tree, or no picture left.
    """
    if not folder.is_dir():
        raise InvalidDatasetError(f"{folder}: there is no such folder of classification pictures")
    loose = [path.name for path in folder.iterdir() if has_picture_suffix(path.name) and path.is_file()]
    if loose:
        logger.warning("%s: skipped %d pictures that are in no synset's folder", folder, len(loose))
    pictures = []
    for synset in sorted(path for path in folder.iterdir() if path.is_dir()):
        if synset.name not in tree:
            raise InvalidDatasetError(
                f"{synset}: {synset.name!r} is not a concept of the WordTree; name each folder by its WordNet id"
            )
        node = tree.index(synset.name)
        files = list_pictures(synset)
        pictures += [LabelOnlyPicture(path, node) for path in part_of(files, held_out_every, held_out=held_out)]
    if not pictures:
        raise InvalidDatasetError(
            f"{folder}: holds no pictures in folders named by WordNet id, or none that is"
            f"{'' if held_out else ' not'} held out"
        )
    return tuple(pictures)

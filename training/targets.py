"""What a network learns from a batch of pictures."""

from typing import Final, NamedTuple

from torch import Tensor

NO_NODE: Final = -1
"""The node of an object whose kind is not known."""


class Targets(NamedTuple):
    """What is true of a batch of B pictures.

    boxes: [T, 4] centre x, centre y, width, height of every object, as fractions of the letterboxed picture.
    nodes: [T] int64, their labels: nodes of the trained tree; NO_NODE where an object's kind is not known.
    picture: [T] int64, the picture each belongs to.
    confidence: [T], how much each teaches: 1 what people drew, less what a teacher saw, 0 what it doubted: of that
        nobody says that it is an object, nor that it is none.
    negative_weight: [B], how much "there is no object" counts in each picture: 1 where every object is labelled, less
        where some are not, 0 for pictures that have a label but no boxes.
    class_only_pictures: [L] int64, the pictures that have a label but no boxes.
    class_only_nodes: [L] int64, their labels.
    """

    boxes: Tensor
    nodes: Tensor
    picture: Tensor
    confidence: Tensor
    negative_weight: Tensor
    class_only_pictures: Tensor
    class_only_nodes: Tensor

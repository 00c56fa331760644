"""What the ImageNet classifier knows, as a teacher of the WordTree all through training.

A classifier's 1,000 probabilities, summed up the tree, are a distribution over every node that has an ImageNet class
at or beneath it. A box labelled "dog" teaches nothing about the kinds of dog, and what trains "dog" could unlearn them:
beneath the labels that boxes have, the class layer keeps agreeing with the teacher.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.wordtree import WordTree
from training.losses.hierarchical import at_least_float32
from training.losses.targets import Truths
from training.networks.efficientnet_lite import ImageNetClassifier
from training.networks.regions import pool_regions
from training.networks.yolov2_lite import inner_part

LEAST_PROBABILITY: Final = 1e-9


class TreeClassifier(nn.Module):
    """Turns flat ImageNet logits to logits over a WordTree whose group softmaxes equal the summed probabilities."""

    membership: Tensor
    known: Tensor

    def __init__(self, tree: WordTree, wnids: Sequence[str]) -> None:
        super().__init__()
        membership = torch.zeros(len(wnids), len(tree))
        for number, wnid in enumerate(wnids):
            if wnid in tree:
                membership[number, list(tree.path(tree.index(wnid)))] = 1
        self.register_buffer("membership", membership, persistent=False)
        self.register_buffer("known", membership.sum(0) > 0, persistent=False)

    def forward(self, flat: Tensor) -> Tensor:
        """Map logits [K, 1000] to log P(node) [K, N]; nodes without any ImageNet class get a negligible one."""
        probability = F.softmax(at_least_float32(flat), dim=1) @ self.membership
        return probability.clamp(min=LEAST_PROBABILITY).log()


class ImageNetTeacher(nn.Module):
    """The classifier's opinion of the region of each labelled object."""

    rows: Tensor
    biases: Tensor

    def __init__(self, classifier: ImageNetClassifier, tree_classifier: TreeClassifier) -> None:
        super().__init__()
        self.register_buffer("rows", classifier.rows)
        self.register_buffer("biases", classifier.biases)
        self.tree_classifier = tree_classifier

    @torch.no_grad()
    def forward(self, integral: Tensor, truths: Truths) -> Tensor:
        """Return log P(node) [T + L, N] for the T boxes, then for the L pictures that only have a label.

        Args:
            integral: the first of `YOLOv2Lite`'s features.
            truths: the boxes and labels.
        """
        logits: Tensor = self.tree_classifier(F.linear(object_features(integral, truths), self.rows, self.biases))
        return logits


def object_features(integral: Tensor, truths: Truths) -> Tensor:
    """Return the class features [T + L, C] of the T true boxes, then of the L whole pictures with a label alone.

    Args:
        integral: [B, H + 1, W + 1, C], of the classifier's features.
        truths: the boxes and labels.
    """
    whole = truths.boxes.new_tensor([0.5, 0.5, 1, 1]).expand(len(truths.class_only_pictures), 4)
    regions = inner_part(torch.cat((truths.boxes, whole)))
    return pool_regions(integral, regions, torch.cat((truths.picture, truths.class_only_pictures)))

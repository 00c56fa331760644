"""What the ImageNet classifier knows, as a teacher of the WordTree all through training.

A classifier's 1,000 probabilities, summed up the tree, are a distribution over every node that has an ImageNet class
at or beneath it. A box labelled "dog" teaches nothing about the kinds of dog, and what trains "dog" could unlearn them:
beneath the labels that boxes have, the class layer keeps agreeing with the teacher.
"""

import torch
from torch import Tensor

from training.networks.parts.class_layer import TreeClassLayer
from training.networks.parts.classifier_inside import inner_part
from training.networks.parts.regions import pool_regions
from training.targets import Targets


@torch.no_grad()
def classifier_opinion(layer: TreeClassLayer, integral: Tensor, targets: Targets) -> Tensor:
    """Return log P(node) [T + L, N] for the T true boxes, then for the L pictures that only have a label.

    Args:
        layer: holds the classifier.
        integral: [B, H + 1, W + 1, C], the first of the features of a `ClassifierInside`.
        targets: the boxes and labels.
    """
    whole = targets.boxes.new_tensor([0.5, 0.5, 1, 1]).expand(len(targets.class_only_pictures), 4)
    regions = inner_part(torch.cat((targets.boxes, whole)))
    picture = torch.cat((targets.picture, targets.class_only_pictures))
    return layer.classifier_logits(pool_regions(integral, regions, picture))

"""What the ImageNet classifier knows, as a teacher of the WordTree: at the start of training, and all through it.

A classifier's 1,000 probabilities, summed up the tree, are a distribution over every node that has an ImageNet class
at or beneath it. The class layer of yolov2-lite starts out agreeing with it (`initial_rows`), and keeps agreeing
beneath the labels that boxes have (`ImageNetTeacher`): a box labelled "dog" teaches nothing about the kinds of dog,
and without a teacher the features would forget them.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from model.wordtree import WordTree
from training.losses.hierarchical import NO_NODE, HierarchicalSoftmax, at_least_float32
from training.losses.targets import Truths
from training.networks.efficientnet_lite import ImageNetClassifier
from training.networks.regions import pool_regions
from training.networks.yolov2_lite import YOLOv2Lite, inner_part

LEAST_PROBABILITY: Final = 1e-9
RIDGE: Final = 1e-2  # relative to the features' mean square


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


def initial_rows(
    detector: YOLOv2Lite,
    classifier: ImageNetClassifier,
    softmax: HierarchicalSoftmax,
    tree_classifier: TreeClassifier,
    wnids: Sequence[str],
    tree: WordTree,
    features: Tensor,
    *,
    steps: int = 400,
    batch: int = 512,
    seed: int = 0,
) -> list[float]:
    """Start a detector's class rows from the classifier's.

    A leaf takes its class's row. An inner node starts as the ridge regression of the log-sum-exp of the logits at and
    beneath it, which is the logit that makes its group's softmax right; then all inner rows are distilled together so
    that the groups' softmaxes agree with the summed probabilities.

    Args:
        detector: its `rows` are set.
        classifier: the ImageNet classifier.
        softmax: of the tree.
        tree_classifier: of the tree and `wnids`.
        wnids: the synset of each of the classifier's outputs.
        tree: the trained tree.
        features: [M, 1280], head features of cells and regions that show objects.
        steps: of the distillation.
        batch: features a step.
        seed: of the order.

    Returns:
        The mean KL divergence before and after the distillation, in nats.
    """
    flat = F.linear(features, classifier.rows, classifier.biases)
    target = flat.logsumexp(1, keepdim=True) + tree_classifier(flat)
    centre = features.mean(0)
    centred = features - centre
    gram = centred.t() @ centred / len(features)
    gram.diagonal().add_(RIDGE * gram.diagonal().mean())
    mean_target = target.mean(0)
    rows = torch.linalg.solve(gram, centred.t() @ (target - mean_target) / len(features)).t()
    biases = mean_target - rows @ centre
    fixed = torch.zeros(len(tree), dtype=torch.bool)
    for number, wnid in enumerate(wnids):
        if wnid in tree and tree.is_leaf(tree.index(wnid)):
            node = tree.index(wnid)
            rows[node], biases[node], fixed[node] = classifier.rows[number], classifier.biases[number], True
    unknown = ~tree_classifier.known
    rows[unknown], biases[unknown] = 0, _unknown_bias(target, tree_classifier.known, softmax)[unknown]
    fixed |= unknown
    weight, bias = nn.Parameter(rows), nn.Parameter(biases)
    optimiser = torch.optim.Adam((weight, bias), lr=1e-3)
    whole_tree = torch.full((batch,), NO_NODE)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in trange(steps, desc="class rows", unit="step", mininterval=5):
        chosen = torch.randint(len(features), (batch,), generator=generator)
        loss = softmax.distillation_loss(F.linear(features[chosen], weight, bias), target[chosen], whole_tree).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert weight.grad is not None
        assert bias.grad is not None
        weight.grad[fixed], bias.grad[fixed] = 0, 0
        optimiser.step()
        losses.append(loss.item())
    with torch.no_grad():
        detector.rows.weight.copy_(weight)
        detector.rows.bias.copy_(bias)
    last = losses[-20:]
    return [losses[0], sum(last) / len(last)]


def _unknown_bias(target: Tensor, known: Tensor, softmax: HierarchicalSoftmax) -> Tensor:
    """Return a bias for nodes ImageNet knows nothing of: two nats below the mean logit of their known siblings."""
    mean, group = target.mean(0)[known], softmax.group_of[known]
    total = mean.new_zeros(softmax.groups).index_add(0, group, mean)
    count = mean.new_zeros(softmax.groups).index_add(0, group, torch.ones_like(mean))
    return (total / count.clamp(min=1))[softmax.group_of] - 2

"""Hierarchical softmax over a WordTree: one softmax a sibling group (paper section 4)."""

import numpy as np
import torch
from torch import Tensor, nn

from model.wordtree import WordTree
from training.targets import NO_NODE


class HierarchicalSoftmax(nn.Module):
    """Conditional and absolute log-probabilities of a WordTree's nodes, and the class losses made of them.

    Every method takes logits [K, N] with one column for each of the tree's N nodes and computes in float32 at least.
    Nothing loops over boxes or nodes: groups are reduced by scatters, levels (at most 16) one after the other.
    """

    group_of: Tensor
    parents: Tensor
    paths: Tensor
    depths: Tensor
    siblings: Tensor

    def __init__(self, tree: WordTree) -> None:
        super().__init__()
        depth = int(tree.depths.max()) + 1
        paths = np.full((len(tree), depth), NO_NODE, np.int64)
        for node in range(len(tree)):
            path = tree.path(node)
            paths[node, : len(path)] = path
        self.register_buffer("group_of", torch.tensor(tree.group_of, dtype=torch.int64), persistent=False)
        self.register_buffer("parents", torch.tensor(tree.parents, dtype=torch.int64), persistent=False)
        self.register_buffer("depths", torch.tensor(tree.depths, dtype=torch.int64), persistent=False)
        self.register_buffer("paths", torch.from_numpy(paths), persistent=False)
        self.groups = len(tree.group_first)
        siblings = torch.tensor(tree.group_size[tree.group_of], dtype=torch.int64)  # the node itself among them
        self.register_buffer("siblings", siblings, persistent=False)
        self._levels = [torch.from_numpy(np.flatnonzero(tree.depths == level)) for level in range(depth)]

    def log_conditionals(self, logits: Tensor) -> Tensor:
        """Return log P(node | parent) [K, N]: a log-softmax within each sibling group."""
        logits = at_least_float32(logits)
        index = self.group_of.expand_as(logits)
        shape = (logits.shape[0], self.groups)  # not len(), which an exported graph would keep as a constant
        largest = logits.new_full(shape, -torch.inf).scatter_reduce(1, index, logits.detach(), "amax")
        shifted = logits - largest.gather(1, index)
        total = logits.new_zeros(shape).scatter_add(1, index, shifted.exp())
        return shifted - total.log().gather(1, index)

    def log_absolutes(self, log_conditionals: Tensor) -> Tensor:
        """Return log P(node) [K, N], the sum of the log-conditionals from the root down."""
        absolutes = log_conditionals.clone()
        for level in self._levels[1:]:
            nodes = level.to(absolutes.device)
            absolutes = absolutes.index_copy(1, nodes, absolutes[:, self.parents[nodes]] + log_conditionals[:, nodes])
        return absolutes

    def path_log_probability(self, log_conditionals: Tensor, nodes: Tensor) -> Tensor:
        """Return log P(node) [K] of one node for each row: the sum of the log-conditionals on its path."""
        paths = self.paths[nodes]
        return log_conditionals.gather(1, paths.clamp(min=0)).masked_fill(paths == NO_NODE, 0).sum(1)

    def path_loss(self, logits: Tensor, nodes: Tensor) -> Tensor:
        """Return the class loss [K] of labels `nodes` [K]: cross-entropy in every group on the path to the label.

        Ancestors of the label are positives; groups beneath the label carry no loss (paper section 4).
        """
        return -self.path_log_probability(self.log_conditionals(logits), nodes)

    def beneath(self, nodes: Tensor) -> Tensor:
        """Return a mask [K, N] of the strict descendants of each of `nodes` [K]."""
        depth_of_label = self.depths[nodes]
        ancestor = self.paths.t()[depth_of_label]  # [K, N]: each node's ancestor at the label's depth
        is_label = torch.arange(len(self.parents), device=nodes.device) == nodes[:, None]
        return (ancestor == nodes[:, None]) & ~is_label

    def distillation_loss(self, student: Tensor, teacher: Tensor, nodes: Tensor) -> Tensor:
        """Return KL(target || student) [K] over what lies beneath the labels `nodes` [K], given the labels.

        By the chain rule it is the sum over the groups beneath a label of the KL of the group's softmax, weighted by
        the target's probability of the group's parent. The target is the teacher's distribution as far as the teacher
        itself sees the label, and even beyond that: a teacher that knows three kinds of person and sees none of them
        must not teach that everybody is a groom. It keeps what a classifier knew of the kinds of dog while boxes
        teach only "dog".

        Args:
            student: logits [K, N].
            teacher: logits [K, N]; no gradient flows into them.
            nodes: labels [K]; NO_NODE stands for the whole tree, where the teacher is fully believed.
        """
        with torch.no_grad():
            whole_tree = (nodes == NO_NODE)[:, None]
            labels = nodes.clamp(min=0)
            absolutes = self.log_absolutes(self.log_conditionals(teacher))
            believed = absolutes.gather(1, labels[:, None]).masked_fill(whole_tree, 0)
            log_even = self.log_absolutes(-self.siblings.to(absolutes.dtype).log()[None])[0]
            even = log_even - log_even[labels][:, None]
            doubted = torch.log1p(-believed.exp().clamp(max=1)).masked_fill(whole_tree, -torch.inf)
            target = torch.logaddexp(absolutes, doubted + even)  # log P(node | label): believed * given = absolute
            weight = target.exp() * (self.beneath(labels) | whole_tree)
            above = target[:, self.parents.clamp(min=0)].masked_fill(self.parents == NO_NODE, 0)
        return (weight * (target - above - self.log_conditionals(student))).sum(1)


def at_least_float32(x: Tensor) -> Tensor:
    """Return `x` in float32, or as it is where it is already as precise (float64 in gradient checks)."""
    return x if x.dtype == torch.float64 else x.float()

"""Whom to believe about a box: the ImageNet classifier, what the detector knows by itself, or what both say together.

A mixture of experts (Jacobs et al., "Adaptive mixtures of local experts", Neural Computation 1991): the probability
of a node is the mean of what three opinions give it, weighted by their **shares**, and a small network says from what
the box shows how large each share is. The third opinion is the product of the first two, each to the power of TOGETHER:
where both know a thing, they are surer of it together.

True synset on the path at .5 / to the leaf, of the boxes that find val objects (one seed):

- the classifier alone: ilsvrc_val .643 / .684, coco_val .120 / .142, voc_val .506 / .525;
- the detector's kinds alone: .010 / .027, .674 / .749, .722 / .788;
- two opinions, a share linear in what the box shows, and corrections: .560 / .601, .632 / .698, .753 / .800;
- this mixture: .567 / .615, .638 / .716, .804 / .847.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN: Final = 32
SLOPE: Final = 0.1
TOGETHER: Final = 0.7
"""Power of both opinions in their product. Learned, they came to .70 and .66."""
OPINIONS: Final = 3
NOTHING: Final = -12.0  # the logit of a share of nothing


class ClassMixture(nn.Module):
    """The shares of the classifier, the detector's kinds, and both together.

    Args:
        inputs: length of what a box shows.
        dropout: part of the inputs and of the hidden units that is left out while it is trained.
    """

    def __init__(self, inputs: int, dropout: float = 0) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, HIDDEN)
        self.output = nn.Linear(HIDDEN, OPINIONS)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    @torch.no_grad()
    def believe_the_classifier(self) -> None:
        """Give the classifier all of every box."""
        self.output.weight.zero_()
        self.output.bias.copy_(torch.tensor([0.0, NOTHING, NOTHING]))

    def forward(self, seen: Tensor) -> Tensor:
        """Map what boxes show [K, inputs] to the shares [K, 3], which sum to 1."""
        hidden = F.leaky_relu(self.hidden(self.dropout(seen)), SLOPE)
        shares: Tensor = self.output(self.dropout(hidden)).softmax(1)
        return shares


def mix(classifier: Tensor, kinds: Tensor, shares: Tensor) -> Tensor:
    """Return the mixture [K, nodes] of two opinions and their product.

    Args:
        classifier, kinds: P(node) [K, nodes] as each has it.
        shares: [K, 3], of the one, the other, and the product.
    """
    first, second, both = shares[:, :, None].unbind(1)
    return first * classifier + second * kinds + both * (classifier * kinds) ** TOGETHER

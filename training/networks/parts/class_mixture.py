"""Whom to believe about a box: the ImageNet classifier, what the detector knows by itself, or what both say together.

A mixture of experts (Jacobs et al., "Adaptive mixtures of local experts", Neural Computation 1991): the probability
of a node is the mean of what three opinions give it, weighted by their **shares**. A small network says how large each
share is, from what the box shows and from how sure the opinions are of themselves. The third opinion is the product of
the first two, each to the power of TOGETHER: where both know a thing, they are surer of it together.

True synset on the path at .5 / to the leaf, of the boxes that find val objects (one seed):

- the classifier alone: ilsvrc_val .643 / .684, coco_val .120 / .142, voc_val .506 / .525;
- the detector's kinds alone: .010 / .027, .674 / .749, .722 / .788;
- two opinions, a share linear in what the box shows, and corrections: .560 / .601, .632 / .698, .753 / .800;
- this mixture: .576 / .611, .633 / .689, .818 / .829; without hearing how sure both are: .548 / .595, .632 / .685,
  .810 / .837. Of an astronaut in her suit the kinds say "person" by .98, the classifier nothing much: heard, they
  have twice the share.
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
SURENESS: Final = 6  # numbers that say how sure the first two are
LEAST: Final = 1e-4  # probability of which a logarithm is taken
NOTHING: Final = -12.0  # the logit of a share of nothing


class ClassMixture(nn.Module):
    """The shares of the classifier, the detector's kinds, and both together.

    Args:
        inputs: length of what a box shows, and after it SURENESS.
        dropout: part of what a box shows and of the hidden units that is left out while it is trained.
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
        """Map what boxes show, and how sure the opinions are, [K, inputs] to the shares [K, 3], which sum to 1."""
        shown, sure = seen[:, :-SURENESS], seen[:, -SURENESS:]
        hidden = F.leaky_relu(self.hidden(torch.cat((self.dropout(shown), sure), dim=1)), SLOPE)
        shares: Tensor = self.output(self.dropout(hidden)).softmax(1)
        return shares


def sureness(*opinions: Tensor) -> Tensor:
    """Return how sure opinions are, three numbers each: [K, 3 * opinions].

    They are the logarithms of the greatest probability and of what it leaves to all others, and the entropy.

    Args:
        opinions: each probabilities [K, classes] that sum to 1.
    """
    numbers: list[Tensor] = []
    for probabilities in opinions:
        greatest = probabilities.amax(1)
        entropy = -(probabilities * probabilities.clamp(min=LEAST).log()).sum(1)
        numbers += [greatest.clamp(min=LEAST).log(), (1 - greatest).clamp(min=LEAST).log(), entropy]
    return torch.stack(numbers, dim=1)


def mix(classifier: Tensor, kinds: Tensor, shares: Tensor) -> Tensor:
    """Return the mixture [K, nodes] of two opinions and their product.

    Args:
        classifier, kinds: P(node) [K, nodes] as each has it.
        shares: [K, 3], of the one, the other, and the product.
    """
    first, second, both = shares[:, :, None].unbind(1)
    return first * classifier + second * kinds + both * (classifier * kinds) ** TOGETHER

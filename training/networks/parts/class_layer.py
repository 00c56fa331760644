"""A class layer over a WordTree that starts as a flat classifier, exactly.

A node's logit is the logarithm of the probability the classifier gives to all of its classes at and beneath the node,
plus a trained linear correction, of the classifier's features and of further evidence, that starts at zero. So the
softmax of every sibling group starts as the classifier's own, summed up the tree. Rows fitted to those sums (ridge
regression, then distillation) do not generalise: of the true synsets of ilsvrc_val's boxes 38 % were on the greedy path
of such rows, against 66 % the classifier itself names.

A group's correction counts as far as there are boxes to learn it from (`trust`): where a few pictures are all there is,
it learns them by heart. Measured after 4,400 steps of the default: with all corrections in full the true synset is on
the path of 40 % of ilsvrc_val's matched boxes, so weighted on 47 %, without any on 58 %; on COCO's 49, 49 and 10 %.

All logits of a box are divided by its **temperature**, the exponential of a linear function of what the correction
sees: a name is worth less on a few blurred pixels than on a dog that fills the picture. One temperature for all boxes
(Guo et al., "On calibration of modern neural networks", ICML 2017) would have to be wrong for one of the two. `refit`
learns it; elsewhere it is 1, or what was learned before. Measured on the boxes that find val objects: of ilsvrc_val's
true synsets 59 % instead of 56 % have a probability of .5 at the end of the path, and the expected error of
probabilities on COCO's falls from .105 to .087.

A detector may know some kinds by itself, as one trained on COCO knows 80. What it says of them is summed up the tree
in the same way, and mixed with what the classifier says (`training.networks.parts.class_mixture`). So horse and sheep
are told apart by whoever learned them on 118,000 pictures, two breeds of dogs, of which that one says nothing, by the
classifier, and on a few pixels the classifier counts little.

The classes are kept in the tree's depth-first order, in which those beneath a node stand side by side; their
probability is a difference of two cumulative sums.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.wordtree import WordTree
from training.networks.parts.class_mixture import SURENESS, ClassMixture, mix, sureness

HALF_TRUSTED: Final = 30  # boxes labelled within a group at which its correction counts half
LEAST_PROBABILITY: Final = 1e-3  # of a node; what a classifier says below that is no evidence between siblings


class TreeClassLayer(nn.Module):
    """Logits of a WordTree's nodes from features.

    Args:
        features: length of the classifier's feature vector.
        flat_classes: outputs of the flat classifier.
        nodes: nodes of the tree.
        evidence: length of the further vector the correction sees.
        kinds: what the detector knows by itself; their probabilities are the last of the evidence.
    """

    first: Tensor
    last: Tensor
    reliability: Tensor
    kind_order: Tensor
    kind_first: Tensor
    kind_last: Tensor

    def __init__(self, features: int, flat_classes: int, nodes: int, *, evidence: int, kinds: int = 0) -> None:
        super().__init__()
        self.kinds = kinds
        self.flat = nn.Linear(features, flat_classes).requires_grad_(False)
        self.correction = nn.Linear(features + evidence, nodes)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)
        # learned by `refit` alone: while features change it would only make up for how badly they are learned so far
        self.log_temperature = nn.Linear(features + evidence, 1).requires_grad_(False)
        nn.init.zeros_(self.log_temperature.weight)
        nn.init.zeros_(self.log_temperature.bias)
        self.register_buffer("first", torch.zeros(nodes, dtype=torch.int64))
        self.register_buffer("last", torch.zeros(nodes, dtype=torch.int64))
        self.register_buffer("reliability", torch.ones(nodes))
        if kinds:
            # learned by `refit` alone
            self.mixture = ClassMixture(features + evidence + SURENESS).requires_grad_(False)
            self.mixture.believe_the_classifier()
            self.register_buffer("kind_order", torch.arange(kinds))
            self.register_buffer("kind_first", torch.zeros(nodes, dtype=torch.int64))
            self.register_buffer("kind_last", torch.zeros(nodes, dtype=torch.int64))

    @torch.no_grad()
    def start_from(self, weight: Tensor, bias: Tensor, wnids: Sequence[str], tree: WordTree) -> None:
        """Take over a flat classifier: its last layer [classes, features], [classes] and the synset of each class."""
        order, first, last = _beneath(wnids, tree)
        self.flat.weight.copy_(weight[order])
        self.flat.bias.copy_(bias[order])
        self.first.copy_(first)
        self.last.copy_(last)
        for trained in (self.correction, self.log_temperature):
            trained.weight.zero_()
            trained.bias.zero_()

    @torch.no_grad()
    def know(self, wnids: Sequence[str], tree: WordTree) -> None:
        """Say which synsets the detector's own kinds are; what it says of them counts nothing yet."""
        for known, found in zip((self.kind_order, self.kind_first, self.kind_last), _beneath(wnids, tree), strict=True):
            known.copy_(found)
        self.mixture.believe_the_classifier()

    def trust(self, boxes: Tensor, half: float = HALF_TRUSTED) -> None:
        """Let corrections count as far as there is evidence.

        Args:
            boxes: [nodes], the labelled boxes or pictures at and beneath each node's siblings and itself.
            half: number of them at which a correction counts half.
        """
        self.reliability.copy_(boxes / (boxes + half))

    def forward(self, features: Tensor, evidence: Tensor) -> Tensor:
        """Map the classifier's features [K, F] and further evidence [K, E] to logits [K, nodes]."""
        logits: Tensor = self.corrected(features, evidence) / self.temperatures(features, evidence)
        return logits

    def corrected(self, features: Tensor, evidence: Tensor) -> Tensor:
        """Return the logits [K, nodes] before they are divided by the temperatures."""
        seen = torch.cat((features, evidence), dim=1)
        shares = self.mixture(torch.cat((seen, self.sureness(features, evidence)), dim=1)) if self.kinds else None
        return self.joined(features, evidence, self.correction(seen), shares)

    def sureness(self, features: Tensor, evidence: Tensor) -> Tensor:
        """Return how sure the classifier and the kinds are of themselves, [K, SURENESS]."""
        return sureness(F.softmax(self.flat(features), dim=1), evidence[:, -self.kinds :])

    def joined(self, features: Tensor, evidence: Tensor, correction: Tensor, shares: Tensor | None) -> Tensor:
        """Return the logits [K, nodes] that the classifier, the kinds and a correction make together.

        Args:
            features, evidence: as `forward` has them.
            correction: [K, nodes].
            shares: [K, 3], as `ClassMixture` gives them; None where there are no kinds.
        """
        known = self.classifier_probabilities(features)
        if shares is not None:
            known = mix(known, self.kind_probabilities(evidence), shares)
        return known.log() + self.reliability * correction

    def kind_probabilities(self, evidence: Tensor) -> Tensor:
        """Return P(node) [K, nodes] as the detector's own kinds have it, of at least LEAST_PROBABILITY."""
        return _summed(evidence[:, -self.kinds :][:, self.kind_order], self.kind_first, self.kind_last)

    def temperatures(self, features: Tensor, evidence: Tensor) -> Tensor:
        """Return the temperature of each box, [K, 1]."""
        temperatures: Tensor = self.log_temperature(torch.cat((features, evidence), dim=1)).exp()
        return temperatures

    def classifier_logits(self, features: Tensor) -> Tensor:
        """Return log P(node) [K, nodes] as the flat classifier alone has it, of at least LEAST_PROBABILITY."""
        return self.classifier_probabilities(features).log()

    def classifier_probabilities(self, features: Tensor) -> Tensor:
        """Return P(node) [K, nodes] as the flat classifier alone has it, of at least LEAST_PROBABILITY."""
        return _summed(F.softmax(self.flat(features), dim=1), self.first, self.last)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take what was saved before there were temperatures, too."""
        for name, value in self.log_temperature.state_dict(prefix=f"{prefix}log_temperature.").items():
            state_dict.setdefault(name, torch.zeros_like(value))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _beneath(wnids: Sequence[str], tree: WordTree) -> tuple[Tensor, Tensor, Tensor]:
    """Order classes so that those at and beneath a node stand side by side.

    Returns:
        [classes] the numbers of the classes in that order, those that the tree lacks at the end; [nodes] the place of
        the first class at or beneath each node, and of the first one after them.
    """
    paths = {number: tree.path(tree.index(wnid)) for number, wnid in enumerate(wnids) if wnid in tree}
    order = sorted(paths, key=lambda number: paths[number])
    first, last = (torch.zeros(len(tree), dtype=torch.int64) for _ in range(2))
    for place, number in enumerate(order):
        for node in paths[number]:
            if last[node] == 0:
                first[node] = place
            last[node] = place + 1
    order += [number for number in range(len(wnids)) if number not in paths]
    return torch.tensor(order, dtype=torch.int64), first, last


def _summed(probabilities: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return P(node) [K, nodes], of at least LEAST_PROBABILITY, from those of classes [K, classes]."""
    # In float64: of a difference of float32 sums near 1 a probability of 1e-5 keeps two digits.
    sums = F.pad(probabilities.double().cumsum(1), (1, 0))
    summed: Tensor = (sums[:, last] - sums[:, first]).to(probabilities.dtype).clamp(min=LEAST_PROBABILITY)
    return summed

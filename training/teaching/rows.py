"""Fits what tells new concepts from everything else: a row for each, and one for all that is none of them.

P(concept) is a softmax over the new concepts and "none of them". A new concept's logit is linear in the components that
the memory keeps of a box; that of "none of them" is linear in how sure the classifier inside is of the box, because
what that has a class for is no new concept. All new concepts together count as much as `WEIGHT` of the memory, however
many they are and however many pictures they have: a box is rather something old than one of fifty new things.

`WEIGHT` and `DECAY` were chosen by what forty-eight concepts of ten pictures each cost on the val sets (docs/teach.md).
With .3 for each of them and a decay of 1e-4 they took 1.7 points of coco_val's names, 3.6 of voc_val's and 2.7 of
ilsvrc_val's.
"""

from typing import Final, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Floats = NDArray[np.float32]

WEIGHT: Final = 0.3
DECAY: Final = 2e-4  # of the squares of a row's weights
STEPS: Final = 80  # of L-BFGS
HARDEST: Final = 1000
"""Examples of the memory that `fewer` keeps because they are taken for a concept most easily."""
OTHERS: Final = 1000
"""Examples of the memory that it keeps for all others."""


class Examples(NamedTuple):
    """Views of objects.

    Attributes:
        components: float32 [N, K].
        sureness: float32 [N, 3].
        classes: int64 [N], 0 for none of the concepts, 1 and up for the concepts.
        pictures: int64 [N], which picture each is a view of; -1 for what the memory remembers.
        weights: float32 [N], for how many examples of the memory each stands; of no account for pictures.
    """

    components: Floats
    sureness: Floats
    classes: NDArray[np.int64]
    pictures: NDArray[np.int64]
    weights: Floats

    @classmethod
    def of(cls, components: Floats, sureness: Floats, classes: NDArray[np.int64], pictures: NDArray[np.int64]) -> Self:
        """Return views that each stand for themselves."""
        return cls(components, sureness, classes, pictures, np.ones(len(classes), np.float32))

    def without(self, pictures: NDArray[np.int64]) -> Self:
        """Leave out all views of some pictures."""
        kept = ~np.isin(self.pictures, pictures)
        return self._replace(**{name: column[kept] for name, column in self._asdict().items()})


class Rows(NamedTuple):
    """What was fitted, for C concepts.

    Attributes:
        weights: float32 [C, K]; bias: float32 [C].
        none: float32 [3], the weights of the sureness in the logit of none of them.
    """

    weights: Floats
    bias: Floats
    none: Floats

    def probabilities(self, components: Floats, sureness: Floats) -> Floats:
        """Return P(none of them) and P(each concept) of boxes, float32 [N, 1 + C]."""
        logits = np.concatenate([(sureness @ self.none)[:, None], components @ self.weights.T + self.bias], axis=1)
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: Floats = logits / logits.sum(axis=1, keepdims=True)
        return found


def fewer(examples: Examples, rows: Rows) -> Examples:
    """Return examples of which rows come out much the same, in a fraction of the time.

    Of the memory they hold the HARDEST, and of all others every n-th, which stands for n.
    """
    memory = np.flatnonzero(examples.classes == 0)
    if len(memory) <= HARDEST + OTHERS:
        return examples
    none = rows.probabilities(examples.components[memory], examples.sureness[memory])[:, 0]
    order = memory[np.argsort(none, kind="stable")]
    easy = order[HARDEST:]
    step = -(-len(easy) // OTHERS)
    kept = np.concatenate([order[:HARDEST], easy[::step], np.flatnonzero(examples.classes > 0)])
    weights = examples.weights.copy()
    weights[easy[::step]] = len(easy) / len(easy[::step])
    every = examples._replace(weights=weights)
    return every._replace(**{name: column[kept] for name, column in every._asdict().items()})


def fit_rows(examples: Examples, concepts: int) -> Rows:
    """Fit rows by L-BFGS on cross-entropy, from zero.

    Args:
        examples: with some of every concept.
        concepts: how many there are.
    """
    inputs, sure = torch.from_numpy(examples.components), torch.from_numpy(examples.sureness)
    classes = torch.from_numpy(examples.classes)
    weights = torch.from_numpy(_weights(examples, concepts))
    shapes = ((concepts, inputs.shape[1]), (concepts,), (sure.shape[1],))
    parameters = [torch.zeros(shape, requires_grad=True) for shape in shapes]
    optimizer = torch.optim.LBFGS(parameters, max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        row, bias, none = parameters
        logits = torch.cat(((sure @ none)[:, None], inputs @ row.T + bias), dim=1)
        total = (F.cross_entropy(logits, classes, reduction="none") * weights).sum()
        total = total + DECAY * (row.square().sum() + none.square().sum())
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return Rows(*(part.detach().numpy() for part in parameters))


def _weights(examples: Examples, concepts: int) -> Floats:
    """Return how much each view counts: the memory 1 in all, every concept the same, each picture of it the same."""
    weights = np.where(examples.classes == 0, examples.weights, 0)
    weights /= max(weights.sum(), 1)
    for concept in range(1, concepts + 1):
        own = np.flatnonzero(examples.classes == concept)
        _, picture, views = np.unique(examples.pictures[own], return_inverse=True, return_counts=True)
        weights[own] = WEIGHT / (concepts * len(views) * views[picture])
    return weights

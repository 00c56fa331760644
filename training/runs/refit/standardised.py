"""Inputs of a layer brought to one mean and one deviation, so that decay and rates mean the same for all of them."""

from copy import copy
from typing import Final, Self

import torch
from torch import Tensor, nn

ROWS: Final = 4096  # in double precision at once
LEAST_DEVIATION: Final = 0.05  # of an input; one that hardly ever differs from zero is not to be blown up


class Standardised:
    """The mean and the deviation of each of the inputs [K, N] that a layer is learned from."""

    def __init__(self, seen: Tensor) -> None:
        parts = [slice(first, first + ROWS) for first in range(0, len(seen), ROWS)]
        self.mean = torch.stack([seen[part].double().sum(0) for part in parts]).sum(0) / len(seen)
        squares = torch.stack([(seen[part].double() - self.mean).square().sum(0) for part in parts])
        self.deviation = (squares.sum(0) / len(seen)).sqrt().clamp(min=LEAST_DEVIATION)

    def with_others(self, others: Self) -> Self:
        """Return what standardises these inputs and, after them, others."""
        both = copy(self)
        both.mean = torch.cat((self.mean, others.mean))
        both.deviation = torch.cat((self.deviation, others.deviation))
        return both

    def __call__(self, seen: Tensor) -> Tensor:
        """Return inputs [..., N] with mean 0 and deviation 1."""
        return ((seen - self.mean) / self.deviation).float()

    @torch.no_grad()
    def fold(self, learned: nn.Linear, into: nn.Linear, factor: float | Tensor = 1) -> None:
        """Give `into` the weights that say of inputs what `learned` says of them standardised, times a factor.

        Args:
            learned, into: of as many inputs and outputs.
            factor: of all inputs, or of each [N].
        """
        weight = learned.weight.double() * factor / self.deviation
        into.weight.copy_(weight)
        into.bias.copy_(learned.bias - (weight @ self.mean))

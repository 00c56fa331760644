"""Learning from rows that are kept in memory: drawn by chance, a batch a step, with half a cosine of the rate."""

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm import tqdm


def minimise(
    loss: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    chance: Tensor,
    *,
    batch: int,
    passes: float,
    seed: int,
    device: torch.device,
) -> float:
    """Take steps; return the mean loss of the last tenth of them.

    Rows are drawn on the CPU: the same ones whatever computes.

    Args:
        loss: of the rows of a batch, int64 [batch] on the device.
        optimizer: of what is learned.
        chance: [K], how likely each row is to be drawn, on the CPU; they need not sum to 1.
        batch: rows a step.
        passes: times as many rows are drawn as there are.
        seed: of what is drawn.
        device: what computes.
    """
    steps = max(1, round(passes * len(chance) / batch))
    generator = torch.Generator().manual_seed(seed)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in tqdm(range(steps), unit="step", mininterval=5):
        drawn = torch.multinomial(chance, batch, replacement=True, generator=generator).to(device)
        value = loss(drawn)
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(value.detach())
    return float(torch.stack(losses[-max(1, steps // 10) :]).mean())

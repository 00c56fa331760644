"""Which weights of a run are the best so far, and whether waiting for better ones is still worth it."""

from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

LOWER_IS_BETTER: Final = "loss"
NAMES: Final = {"ap50": "AP50", "ap": "AP", "recall": "recall", "lineage": "right names", "loss": "loss"}
"""What scores are called in words."""


class Standing(BaseModel):
    """Where a run stands; part of its checkpoints.

    Attributes:
        best: the best value so far; None before the first.
        loss: the loss then, if it was computed.
        step: the steps taken then.
        since: validations since then.
    """

    model_config = ConfigDict(frozen=True)

    best: float | None = None
    loss: float | None = None
    step: int = 0
    since: int = 0


class Watch:
    """Scores a run every so many steps.

    Args:
        validate: scores the network as it is, in evaluation mode; of several processes only the first is asked.
        keep: writes more about scores that were the best into the best weights' folder.
        best_by: the score that decides.
        every: steps between two validations.
        patience: stop after so many that are no better; 0: never.
    """

    def __init__(
        self,
        validate: Callable[[], Mapping[str, float]],
        best_by: str,
        every: int,
        patience: int,
        *,
        keep: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self.validate, self.best_by, self.every, self.patience, self.keep = validate, best_by, every, patience, keep
        self.standing = Standing()

    def due(self, step: int, last: int) -> bool:
        """Tell whether the network is scored after a step: every so many, and after the last."""
        return step % self.every == 0 or step == last

    def take(self, step: int, scores: Mapping[str, float]) -> bool:
        """Take note of scores; return whether they are the best so far. Of equal ones those of the lower loss are."""
        score, loss, before = scores.get(self.best_by), scores.get(LOWER_IS_BETTER), self.standing
        better = score is not None and (
            before.best is None or self._rank(score, loss) > self._rank(before.best, before.loss)
        )
        if better:
            self.standing = Standing(best=score, loss=loss, step=step)
        else:
            self.standing = before.model_copy(update={"since": before.since + 1})
        return better

    def _rank(self, score: float, loss: float | None) -> tuple[float, float]:
        """Return what is greater for better scores."""
        return (-score if self.best_by == LOWER_IS_BETTER else score), -inf if loss is None else -loss

    def sentence(self, step: int, scores: Mapping[str, float]) -> str:
        """Return the last scores in words, and which were the best."""
        named = ", ".join(f"{NAMES[name]} {_shown(name, scores[name])}" for name in NAMES if name in scores)
        seconds = f" ({scores['seconds']:.0f} s)" if "seconds" in scores else ""
        standing = self.standing
        if standing.best is None:
            return f"step {step}: {named}{seconds}"
        best = (
            "the best so far"
            if standing.step == step
            else f"best is step {standing.step}, {NAMES[self.best_by]} {_shown(self.best_by, standing.best)}"
        )
        return f"step {step}: {named}; {best}{seconds}"

    @property
    def exhausted(self) -> bool:
        """Whether there was no better one for as long as the patience lasts."""
        return 0 < self.patience <= self.standing.since

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return self.standing.model_dump()

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.standing = Standing.model_validate(state)


def _shown(name: str, value: float) -> str:
    return f"{value:.3g}" if name == LOWER_IS_BETTER else f"{value:.1%}"

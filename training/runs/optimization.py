"""How weights move: the optimiser, its learning rates, and the schedules of the paper beside today's usual one."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import nn

PAPER_DROPS: Final = (60 / 160, 90 / 160)  # paper section 2, "training for detection": at epochs 60 and 90 of 160


class OptimizerConfiguration(BaseModel):
    """AdamW or SGD, a warm-up, and a schedule; pre-trained parameters may move more slowly than new ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["adamw", "sgd"] = Field("adamw", description="optimizer; the paper uses sgd")
    steps: NonNegativeInt = Field(6000, description="steps to train for, one batch each; 0: only save the start")
    epochs: PositiveFloat | None = Field(None, description="epochs to train for, instead of steps")
    batch: PositiveInt = Field(16, description="pictures in a batch, over all processes")
    accumulate: PositiveInt = Field(1, description="compute a batch in this many parts and add up their gradients")
    learning_rate: PositiveFloat = Field(1e-3, description="peak learning rate of new parameters")
    pretrained_learning_rate: PositiveFloat = Field(2e-4, description="peak learning rate of pre-trained parameters")
    class_learning_rate: PositiveFloat = Field(
        5e-5, description="peak learning rate of the class layer around an ImageNet classifier"
    )
    weight_decay: float = Field(5e-4, ge=0, description="weight decay; not of biases and norms")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd's momentum")
    warmup: PositiveInt = Field(200, description="steps in which the learning rate rises to its peak")
    warmup_power: PositiveFloat = Field(
        1, description="power of that rise: 1 is a straight line, 4 is darknet's burn_in"
    )
    schedule: Literal["cosine", "polynomial", "steps"] = Field(
        "cosine",
        description="how the learning rate falls: half a cosine, a power of the remaining part of the run, or in steps",
    )
    final_fraction: float = Field(0.01, ge=0, le=1, description="cosine: last learning rate, relative to the peak")
    power: PositiveFloat = Field(4, description="polynomial: the power; the paper's classifiers use 4")
    drops: tuple[float, ...] = Field(
        PAPER_DROPS,
        description=(
            "steps: parts of the run, 0 to 1, after which the rate drops; the paper's detectors "
            "use .375 and .5625 (epochs 60 and 90 of 160)"
        ),
    )
    drop_factor: float = Field(0.1, gt=0, lt=1, description="steps: factor of each drop")
    largest_gradient: PositiveFloat = Field(20.0, description="the gradients are clipped to this L2 norm")
    average_decay: float = Field(0.999, ge=0, lt=1, description="decay of the moving average of the weights, 0 to 1")
    fixed_statistics: bool = Field(
        False, description="batch norms keep their running statistics instead of using each batch's"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.accumulate > self.batch:
            raise ValueError(f"a batch of {self.batch} pictures cannot be computed in {self.accumulate} parts")
        if any(not 0 < drop < 1 for drop in self.drops):
            raise ValueError(f"drops are parts of the run, between 0 and 1, not {list(self.drops)}")
        return self

    def for_pictures(self, pictures: int) -> Self:
        """Return the settings with the steps that `epochs` asks for, where an epoch has so many pictures."""
        if self.epochs is None:
            return self
        return self.model_copy(update={"steps": math.ceil(self.epochs * pictures / self.batch)})


def learning_rate_factor(step: int, settings: OptimizerConfiguration) -> float:
    """Return the part of the peak learning rate at a step: the warm-up, and the schedule after it."""
    warm = math.pow(min(1.0, (step + 1) / settings.warmup), settings.warmup_power)
    progress = min(1.0, step / settings.steps)
    match settings.schedule:
        case "cosine":
            cosine = 0.5 * (1 + math.cos(math.pi * progress))
            return warm * (settings.final_fraction + (1 - settings.final_fraction) * cosine)
        case "polynomial":
            return warm * math.pow(1 - progress, settings.power)
        case "steps":
            return warm * math.pow(settings.drop_factor, sum(progress >= drop for drop in settings.drops))


def build_optimizer(
    parameters: Iterable[tuple[str, nn.Parameter]],
    peak_rate: Callable[[str], float],
    settings: OptimizerConfiguration,
) -> torch.optim.Optimizer:
    """Return an optimiser whose groups have one "peak" learning rate and one weight decay each.

    Args:
        parameters: what is trained, by name.
        peak_rate: the peak learning rate of the parameter of a name.
        settings: the method and its constants.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, value in parameters:
        decay = settings.weight_decay if value.ndim > 1 else 0.0
        groups.setdefault((peak_rate(name), decay), []).append(value)
    described: list[dict[str, Any]] = [
        {"params": values, "peak": rate, "lr": rate, "weight_decay": decay} for (rate, decay), values in groups.items()
    ]
    if settings.method == "sgd":
        return torch.optim.SGD(described, momentum=settings.momentum)
    return torch.optim.AdamW(described)

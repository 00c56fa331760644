"""How a detector learns to judge its boxes a second time, with all else as it is."""

from typing import Final

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from training.data.box_examples import BoxExamples
from training.networks.parts.box_quality import FURTHER, BoxQuality
from training.runs.refit.class_fit import chances
from training.runs.refit.minimise import minimise
from training.runs.refit.standardised import ROWS, Standardised

NOTHING: Final = 0.3  # IOU up to which a box shows no object
WHOLE: Final = 0.7  # IOU from which it shows one as well as can be
FOUND: Final = 0.5  # IOU from which an answer is right
CALIBRATION_STEPS: Final = 100
LEAST_SCALE: Final = 0.1  # of the logits of answers; below it their order tells next to nothing


class QualityFit(BaseModel):
    """How to learn it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    boxes: NonNegativeInt = Field(
        24,
        description=(
            "most boxes of a picture to learn yolov2-lite's box quality from; each takes 4 kB of "
            "memory. 0: no box quality"
        ),
    )
    quality_power: NonNegativeFloat = Field(
        1, description="how much box quality counts: the answer is objectness * (objectness * quality) ** power"
    )
    quality_doubt: NonNegativeFloat = Field(
        0,
        description=(
            "subtracted from the logit of every answer at the end. A detector is surer on "
            "pictures it was trained on, so choose it on others: the best F1 that `evaluate` "
            "finds should be near a threshold of half that F1"
        ),
    )
    quality_passes: PositiveFloat = Field(4, description="passes over the boxes seen")
    quality_batch: PositiveInt = Field(512, description="boxes in a batch")
    quality_rate: PositiveFloat = Field(1e-3, description="peak learning rate (AdamW)")
    quality_decay: NonNegativeFloat = Field(1e-4, description="weight decay (AdamW)")
    quality_dropout: float = Field(0.2, ge=0, lt=1, description="share of inputs and hidden units dropped at random")


def fit_quality(
    quality: BoxQuality, examples: BoxExamples, shares: list[float], settings: QualityFit, seed: int
) -> float:
    """Learn to judge boxes from zero; return the mean loss of the last tenth of the batches.

    What is learned of a box is its overlap with an object, from 0 at an IOU of NOTHING to 1 at WHOLE. At the end the
    answers that suppression leaves are brought to the scale of a probability: of being an object by an IOU of FOUND.

    Args:
        quality: its device computes.
        examples: the boxes.
        shares: how much each source counts as a whole.
        settings: how to learn.
        seed: of every random choice.
    """
    device = quality.output.weight.device
    chance = chances(examples.sources, shares)
    examples = BoxExamples(*(part.to(device) for part in examples))
    goals = ((examples.overlap - NOTHING) / (WHOLE - NOTHING)).clamp(0, 1)
    torch.manual_seed(seed)  # of the first weights, and of what is left out
    standard = Standardised(examples.seen)
    learned = BoxQuality(quality.hidden.in_features - FURTHER, settings.quality_dropout).to(device)
    optimizer = torch.optim.AdamW(learned.parameters(), lr=settings.quality_rate, weight_decay=settings.quality_decay)

    def loss(drawn: Tensor) -> Tensor:
        logits = learned(standard(examples.seen[drawn].float()))
        return F.binary_cross_entropy_with_logits(logits, goals[drawn])

    last = minimise(
        loss,
        optimizer,
        chance,
        batch=settings.quality_batch,
        passes=settings.quality_passes,
        seed=seed,
        device=device,
    )
    standard.fold(learned.hidden, quality.hidden)
    quality.output.load_state_dict(learned.output.state_dict())
    quality.power.fill_(settings.quality_power)
    _calibrate(quality, examples, chance.to(device))
    quality.shift.sub_(settings.quality_doubt)
    return last


def _calibrate(quality: BoxQuality, examples: BoxExamples, chance: Tensor) -> None:
    """Fit scale and shift by logistic regression (Platt, "Probabilistic outputs for support vector machines", 1999).

    As there, few answers are no proof: of n that are all wrong the next is right with a probability of 1 / (n + 2).
    Where answers tell next to nothing, or the wrong way round, they keep their scale and are shifted alone; without
    any, neither is touched.
    """
    rows = examples.answer & (chance > 0)
    if not rows.any():
        return
    with torch.no_grad():
        judged = torch.cat([quality(part.float()) for part in torch.split(examples.seen[rows], ROWS)])
        logits = quality.score(examples.objectness[rows], judged).double()
    found = examples.overlap[rows] >= FOUND
    count = found.sum().double()
    right = torch.where(found, (count + 1) / (count + 2), 1 / (len(found) - count + 2))
    weights = chance[rows].double() / chance[rows].double().sum()
    scale, shift = _logistic_line(logits, right, weights, scaled=True)
    if not (scale >= LEAST_SCALE and scale.isfinite()):
        scale, shift = _logistic_line(logits, right, weights, scaled=False)
    quality.scale.copy_(scale)
    quality.shift.copy_(shift)


def _logistic_line(logits: Tensor, right: Tensor, weights: Tensor, *, scaled: bool) -> tuple[Tensor, Tensor]:
    """Return the scale, 1 unless `scaled`, and the shift of logits [K] that make them say best how often each is right.

    Args:
        logits, right, weights: [K]; how likely each is right, 0 to 1; the weights sum to 1.
        scaled: whether the scale is fitted, too.
    """
    mean, deviation = logits.mean(), logits.std().clamp(min=1e-6) if scaled else logits.new_ones(())
    slope = deviation.clone().requires_grad_(scaled)
    shift = logits.new_zeros(()).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [slope, shift] if scaled else [shift], max_iter=CALIBRATION_STEPS, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        said = slope * (logits - mean) / deviation + shift
        error = (weights * F.binary_cross_entropy_with_logits(said, right, reduction="none")).sum()
        error.backward()  # type: ignore[no-untyped-call]
        return error

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    scale = slope.detach() / deviation
    return scale, shift.detach() - scale * mean

"""How a run is scored while it trains."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from training.configurations.sources import BoxSource

InputSize = Annotated[int, Field(gt=0, multiple_of=32)]
"""Side of a square input, px; the detector's grid has a cell every 32."""

BestBy = Literal["ap50", "ap", "recall", "lineage", "loss"]

PARTS: Final = 10
"""Validations of a run where no other interval is given."""
LEAST_STEPS: Final = 50
"""Steps between two of them at least."""


class ValidationSource(BoxSource):
    """A detection set to score on."""

    pictures: Path | None = Field(
        None, description="folder of its pictures; without one the part `val` of a data.yaml or an export counts"
    )
    held_out_every: NonNegativeInt = Field(0, description="take every n-th picture alone; 0: all")


class ValidationConfiguration(BaseModel):
    """Score a run while it trains, keep the best weights, and stop when they get no better."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: tuple[ValidationSource, ...] = Field(
        (),
        description="sets to score on: annotations, pictures (folder), label_map, held_out_every; default: what "
        "`detection` holds out, and the part `val` of its data.yaml or export",
    )
    every: NonNegativeInt | None = Field(
        None,
        description=f"steps between two validations; 0: none; default: a {PARTS}th of them, {LEAST_STEPS} at least",
    )
    most_pictures: NonNegativeInt = Field(500, description="pictures of each set, spread evenly over it; 0: all")
    size: InputSize | None = Field(None, description="input size, px; default: the one of `sizes` nearest to 416")
    batch: PositiveInt = Field(8, description="pictures at once")
    best_by: BestBy = Field(
        "ap50",
        description="what decides which weights are the best, a mean over the sets: ap50 and ap (COCO's average "
        "precision), recall, lineage (share of matched boxes with the right name on their path), loss",
    )
    patience: NonNegativeInt = Field(
        0, description="stop after so many validations without a better one; 0: never before the last step"
    )

    def steps_between(self, steps: int) -> int:
        """Return the steps between two validations of a run of so many; 0: none."""
        return max(LEAST_STEPS, steps // PARTS) if self.every is None else self.every

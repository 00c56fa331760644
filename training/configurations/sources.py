"""What every configuration says of a detection set."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.data.formats.read import LAYOUTS, check_places


class BoxSource(BaseModel):
    """A detection set, in COCO's, PASCAL VOC's or YOLO's layout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    annotations: Path = Field(description=LAYOUTS)
    pictures: Path | None = Field(
        None, description="folder of its pictures; without one the part `train` of a data.yaml or an export counts"
    )
    label_map: Path | None = Field(None, description="file with a line 'WNID NAME' for each class without a WordNet id")

    @model_validator(mode="after")
    def _check_places(self) -> Self:
        check_places(self.annotations, self.pictures)
        return self

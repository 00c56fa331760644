"""What every configuration says of a detection set."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.wordtree import WordTree
from training.data.formats.detection_set import DetectionSet
from training.data.formats.layouts.data_yaml import Split
from training.data.formats.read import LAYOUTS, check_places
from training.data.index.sets import read_boxes


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

    def read(
        self,
        tree: WordTree,
        *,
        index: Path | None,
        strict: bool,
        split: Split = "train",
        held_out_every: int = 0,
        held_out: bool = False,
    ) -> DetectionSet:
        """Read the set; see `training.data.index.sets.read_boxes`."""
        return read_boxes(
            self.annotations,
            self.pictures,
            tree,
            self.label_map,
            index=index,
            split=split,
            strict=strict,
            held_out_every=held_out_every,
            held_out=held_out,
        )

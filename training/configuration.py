"""What a detection run is made of, as one documented object; it is written beside the results."""

from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from training.data.augment import AugmentConfiguration
from training.losses.region import RegionLossConfiguration
from training.trainer import LoopConfiguration, OptimizerConfiguration


class DetectionSource(BaseModel):
    """Pictures with boxes, in COCO JSON whose categories carry WordNet ids."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    annotations: Path = Field(description="COCO JSON file")
    pictures: Path = Field(description="folder of its pictures")
    repeats: PositiveInt = Field(1, description="times an epoch shows each picture")
    negative_weight: NonNegativeFloat = Field(
        1.0,
        description='how much "no object here" counts: 1 where every object is labelled, less where some are not',
    )


class ClassificationSource(BaseModel):
    """Pictures with a label alone, one folder a WordNet id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path = Field(description="folder of WordNet-id folders")
    repeats: PositiveInt = Field(1, description="times an epoch shows each picture")
    held_out_every: NonNegativeInt = Field(0, description="keep every n-th picture of a synset out; 0: none")


class NetworkConfiguration(BaseModel):
    """The network and what it starts from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["yolov2-lite"] = Field("yolov2-lite", description="architecture")
    anchors: tuple[tuple[PositiveFloat, PositiveFloat], ...] = Field(
        description="widths and heights in cells of 32 px", min_length=1
    )
    frozen_blocks: int = Field(5, ge=0, le=16, description="the stem and this many blocks keep their ImageNet weights")
    row_batches: PositiveInt = Field(
        150, description="batches whose features the class rows are fitted on before training"
    )


class DetectConfiguration(BaseModel):
    """A joint training run on pictures with boxes and pictures with labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Path = Field(description="folder for checkpoints, the log and this configuration")
    detection: tuple[DetectionSource, ...] = Field(description="sets with boxes", min_length=1)
    classification: tuple[ClassificationSource, ...] = Field((), description="sets with labels alone")
    network: NetworkConfiguration
    sizes: tuple[int, ...] = Field((320, 352, 384, 416), description="input sizes to train at, px", min_length=1)
    seed: NonNegativeInt = Field(0, description="of every random choice")
    augmentation: AugmentConfiguration = AugmentConfiguration()
    loss: RegionLossConfiguration = RegionLossConfiguration()
    optimizer: OptimizerConfiguration = OptimizerConfiguration()
    loop: LoopConfiguration = LoopConfiguration()
    resume: bool = Field(False, description="go on from the output folder's checkpoint")

"""What a detection run is made of, as one documented object; it is written beside the results."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from training.computing import LoopConfiguration
from training.data.augment import AugmentConfiguration
from training.data.read import LAYOUTS
from training.losses.region import RegionLossConfiguration
from training.optimization import OptimizerConfiguration

InputSize = Annotated[int, Field(gt=0, multiple_of=32)]
"""Side of a square input, px; the detector's grid has a cell every 32."""


class DetectionSource(BaseModel):
    """Pictures with boxes, in COCO's, PASCAL VOC's or YOLO's layout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    annotations: Path = Field(description=LAYOUTS)
    pictures: Path = Field(description="folder of its pictures")
    label_map: Path | None = Field(None, description="file with a line 'WNID name' for each class without a wnid")
    repeats: PositiveInt = Field(1, description="times an epoch shows each picture")
    negative_weight: NonNegativeFloat = Field(
        1.0,
        description='how much "no object here" counts: 1 where every object is labelled, less where some are not',
    )


class ClassificationSource(BaseModel):
    """Pictures with a label alone, one folder a WordNet id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path = Field(description="folder that holds a folder of pictures for each WordNet id")
    repeats: PositiveInt = Field(1, description="times an epoch shows each picture")
    held_out_every: NonNegativeInt = Field(0, description="keep every n-th picture of each id out; 0: none")


class NetworkConfiguration(BaseModel):
    """The network and what it starts from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["yolov2-lite"] = Field("yolov2-lite", description="architecture")
    anchors: tuple[tuple[PositiveFloat, PositiveFloat], ...] = Field(
        description="width and height of each anchor, in cells of 32 px", min_length=1
    )
    start: Path | None = Field(
        None,
        description="what to start from: another run's output folder, or a model file (.onnx) of this network; by "
        "default the ImageNet classifier alone",
    )


class DetectConfiguration(BaseModel):
    """A joint training run on pictures with boxes and pictures with labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Path = Field(description="folder for the checkpoint, the log and this configuration")
    detection: tuple[DetectionSource, ...] = Field(
        description="sets with boxes, each with annotations (COCO JSON, VOC XML, YOLO class names), pictures (their "
        "folder), label_map (a file, if classes carry no wnid) and, if it should not be 1, repeats (times an epoch "
        "shows each picture) and negative_weight (how much 'no object here' counts)",
        min_length=1,
    )
    classification: tuple[ClassificationSource, ...] = Field(
        (),
        description="sets with labels alone, each with folder (holds a folder of pictures for each WordNet id) and, "
        "if wanted, repeats (default 1) and held_out_every (keep every n-th picture of each id out)",
    )
    network: NetworkConfiguration
    sizes: tuple[InputSize, ...] = Field(
        (320, 352, 384, 416), description="input sizes to train at, px, multiples of 32", min_length=1
    )
    seed: NonNegativeInt = Field(0, description="seed of every random choice")
    augmentation: AugmentConfiguration = AugmentConfiguration()
    loss: RegionLossConfiguration = RegionLossConfiguration()
    optimizer: OptimizerConfiguration = OptimizerConfiguration()
    loop: LoopConfiguration = LoopConfiguration()
    resume: bool = Field(False, description="go on from the checkpoint in the output folder")

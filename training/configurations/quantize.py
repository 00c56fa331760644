"""What a quantisation is made of."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from training.data.formats.read import LAYOUTS, STRICT


class QuantizeConfiguration(BaseModel):
    """Write a model file that computes with 8 bits, or in float16, unless it answers worse than the original."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Path = Field(description="model file to quantise (.onnx)")
    output: Path = Field(description="model file to write (.onnx)")
    precision: Literal["int8", "float16", "float32"] = Field(
        "int8",
        description="what the network computes in: int8 for processors, float16 for GPUs; float32 undoes int8, but for "
        "the rounding of weights. The last two need no calibration and take a file with 8 bits, too",
    )
    calibration: tuple[Path, ...] = Field(
        (),
        description=(
            "pictures like those the model will see, to find the range of values in each layer: "
            "files, or folders with all below them"
        ),
    )
    calibration_pictures: PositiveInt = Field(64, description="how many of them to use, spread evenly over the list")
    method: Literal["mse", "minmax", "percentile", "entropy"] = Field(
        "mse",
        description=(
            "range of a layer's values: least mean squared error, all values, 99.999 % of them, "
            "or least loss of information; the last two are slow"
        ),
    )
    data: Path = Field(default=Path("data"), description="folder of the sets given by NAME, see `evaluate`")
    sets: tuple[str, ...] = Field(
        default=(),
        description="sets to score both files on, separated by commas: each a NAME in the data folder, or "
        f"ANNOTATIONS:FOLDER with the folder of the pictures. Annotations: {LAYOUTS}",
    )
    label_map: Path | None = Field(
        default=None, description="file with a line 'WNID NAME' for each class without a WordNet id"
    )
    strict: bool = Field(False, description=STRICT)
    most_fall: float = Field(
        0.01,
        ge=0,
        le=1,
        description="write nothing if AP50 or the right names on the path fall by more on a set; .01 is a point",
    )
    without_gate: bool = Field(
        False, description="write the file whatever it scores, and note that in its metadata: for untrained networks"
    )
    in_float: tuple[str, ...] = Field((), description="names of layers to keep in float")
    objectness: float | None = Field(
        None,
        ge=0,
        le=1,
        description="default objectness threshold of the new file; default: the original's",
    )
    reduce_range: bool = Field(
        True,
        description="use 7 bits per weight: with 8, processors without VNNI give other answers",
    )
    half_storage: bool = Field(True, description="store the weights that stay in float as float16")
    size: PositiveInt | None = Field(None, description="input size to calibrate and score at, px; default: the model's")
    threads: PositiveInt | None = Field(
        None, description="CPU threads of an inference; by default as many as there are physical cores"
    )

    @model_validator(mode="after")
    def _gate(self) -> Self:
        if bool(self.calibration) != (self.precision == "int8"):
            raise ValueError("calibration: int8 needs pictures to calibrate with, and the other precisions none")
        if bool(self.sets) == self.without_gate:
            raise ValueError("give sets to score the file on, or without_gate, and not both")
        return self

"""What a detection run is made of, as one documented object; it is written beside the results."""

from pathlib import Path
from typing import Any, ClassVar, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from training.configurations.sources import BoxSource
from training.configurations.validation import InputSize, ValidationConfiguration
from training.data.augmentation.augment import AugmentConfiguration
from training.data.formats.read import STRICT
from training.data.index.sets import INDEX, SHARDS, ShardSource
from training.data.shards.cache import ShardsConfiguration
from training.losses.region import RegionLossConfiguration
from training.networks.backbones.efficientnet_lite import IMAGENET_CLASSES, LiteName
from training.networks.catalogue import (
    ANCHORS,
    LITE,
    WITH_BACKBONES,
    Design,
    DetectorName,
)
from training.runs.computing import LoopConfiguration
from training.runs.optimization import OptimizerConfiguration

LITE_LOSS: Final[dict[str, Any]] = {"iou_scale": 1, "object_scale": 1, "objectness": "focal", "rescore": False}
"""What yolov2-lite learns by, where it is not YOLOv2's loss."""

OPINIONS: Final = (
    "JSON file of what another detector sees on these pictures: {categories: [WNID], files: {NAME: [[score, category, "
    "x, y, width, height]]}}, names from the set's folder, boxes in pixels; what it is sure of is learned too, what it "
    "doubts is not learned as background"
)


class DetectionSource(BoxSource):
    """Pictures with boxes, to train on."""

    repeats: PositiveInt = Field(1, description="how often an epoch shows each picture")
    negative_weight: NonNegativeFloat = Field(
        1.0,
        description=('weight of "there is no object here": 1 if every object is labelled, less if some are not'),
    )
    held_out_every: NonNegativeInt = Field(0, description="hold out every n-th picture; 0: none")
    balance: float = Field(
        0.0,
        ge=0,
        le=1,
        description=(
            "a category is rare if fewer than this share of the pictures show it; a picture with "
            "a category of share f is shown sqrt(balance / f) times as often, at most four times;"
            " 0: off"
        ),
    )
    opinions: Path | None = Field(None, description=OPINIONS)


class ClassificationSource(BaseModel):
    """Pictures with a label alone, one folder a class."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path = Field(description="folder with a folder of pictures for each class: a WordNet id, or a name")
    label_map: Path | None = Field(
        None, description="file with a line 'WNID name' for each class whose name is unclear"
    )
    repeats: PositiveInt = Field(1, description="how often an epoch shows each picture")
    held_out_every: NonNegativeInt = Field(0, description="hold out every n-th picture; 0: none")
    opinions: Path | None = Field(None, description=OPINIONS)


class NetworkConfiguration(BaseModel):
    """The network and what it starts from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: DetectorName = Field("yolov2-lite", description="architecture")
    anchors: tuple[tuple[PositiveFloat, PositiveFloat], ...] | None = Field(
        None,
        description=(
            "width and height of each anchor, in grid cells (16 px for yolov2-efficientnet, else "
            "32 px); default: the published ones. yolov2-lite has no anchors"
        ),
        min_length=1,
    )
    backbone: LiteName | None = Field(
        None,
        description="the EfficientNet-Lite in yolov2-lite and yolov2-efficientnet: lite0, or lite2, which names more "
        "objects right and takes 1.6 times as long; default: that of the start, lite0 without one",
    )
    start: Path | None = Field(
        None,
        description=(
            "weights to start from: the folder of another run or of a classifier's run, a model "
            "file (.onnx), darknet's weights (.weights, .conv.N), NanoDet-g's (.safetensors, for "
            "yolov2-lite), or default for the embedded model. By default yolov2-lite and "
            "yolov2-efficientnet start from an ImageNet classifier, the others from random "
            "weights"
        ),
    )
    freeze: tuple[str, ...] = Field(
        (),
        description="parts to leave untrained, such as backbone or backbone.fine; an unknown name lists the parts",
    )

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.backbone is not None and self.name not in WITH_BACKBONES:
            raise ValueError(f"{self.name} has a backbone of its own, not {self.backbone}")
        if self.name == LITE and self.anchors is not None:
            raise ValueError(f"{self.name} has no anchors")
        return self

    def design(self, flat_classes: int = IMAGENET_CLASSES, backbone: LiteName | None = None) -> Design:
        """Return what the network is built from.

        Args:
            flat_classes: of the classifier inside.
            backbone: of that classifier, where weights tell it.
        """
        anchors = self.anchors or ANCHORS[self.name]
        chosen = backbone or self.backbone or "lite0"
        return Design(self.name, anchors, flat_classes, chosen)


class OpinionsConfiguration(BaseModel):
    """How far a teacher is believed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sure: float = Field(
        0.5,
        ge=0,
        le=1,
        description="an opinion with at least this score is learned as an object, weighted by its score",
    )
    doubted: float = Field(
        0.15,
        ge=0,
        le=1,
        description="an opinion with at least this score, but not sure, is not learned as background",
    )

    @model_validator(mode="after")
    def _check_scores(self) -> Self:
        if self.doubted > self.sure:
            raise ValueError(f"doubted {self.doubted:g} exceeds sure {self.sure:g}")
        return self


class TrainConfiguration(BaseModel):
    """Train a detector on pictures with boxes and pictures with labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    important: ClassVar[tuple[str, ...]] = (
        "output",
        "detection",
        "classification",
        "network.name",
        "network.start",
        "sizes",
        "optimizer.steps",
        "optimizer.batch",
        "validation.every",
        "validation.patience",
        "loop.device",
        "resume",
    )

    output: Path = Field(description="folder for the checkpoints, the log and this configuration")
    detection: tuple[DetectionSource, ...] = Field(
        (),
        description=(
            "sets with boxes: annotations (COCO JSON, VOC XML, YOLO class names), pictures "
            "(folder), label_map (file, if classes have no WordNet id), repeats (how often an "
            "epoch shows each picture), negative_weight (weight of 'no object here'), "
            "held_out_every (hold out every n-th picture), balance (share below which a category "
            "is rare and shown more often), opinions (file of what another detector sees)"
        ),
    )
    classification: tuple[ClassificationSource, ...] = Field(
        (),
        description=(
            "sets with labels only: folder (with a folder of pictures for each WordNet id), "
            "repeats, held_out_every, opinions"
        ),
    )
    shards: tuple[ShardSource, ...] = Field((), description=SHARDS)
    network: NetworkConfiguration = NetworkConfiguration()
    teacher: Path | None = Field(
        None,
        description="ONNX file of a detector that looks at every view and that yolov2-lite learns to agree with: input "
        "pictures (uint8 [B, S, S, 3], RGB), outputs boxes ([B, N, 4], x1, y1, x2, y2 in pixels) and scores "
        "([B, N, 80], 0 to 1, COCO's kinds)",
    )
    opinions: OpinionsConfiguration = OpinionsConfiguration()
    index: Path | None = Field(None, description=INDEX)
    tree: Path | None = Field(
        None, description="WordTree of the labels, as `wordtree` writes it; default: the packaged one"
    )
    mixing: PositiveFloat | None = Field(
        None,
        description=(
            "pictures with only a label for each picture with boxes, reached by raising repeats; "
            "the paper's is 4; default: as many as there are"
        ),
    )
    sizes: tuple[InputSize, ...] = Field(
        (320, 352, 384, 416), description="input sizes to train at, px, multiples of 32", min_length=1
    )
    validation: ValidationConfiguration = ValidationConfiguration()
    strict: bool = Field(False, description=STRICT)
    seed: NonNegativeInt = Field(0, description="seed of all random choices")
    augmentation: AugmentConfiguration = AugmentConfiguration()
    loss: RegionLossConfiguration = Field(
        RegionLossConfiguration(),
        description="constants of the loss; yolov2-lite's defaults are iou_scale 1, object_scale 1, objectness focal, "
        "rescore false",
    )
    optimizer: OptimizerConfiguration = OptimizerConfiguration()
    shuffling: ShardsConfiguration = ShardsConfiguration()
    loop: LoopConfiguration = LoopConfiguration()
    resume: bool = Field(False, description="continue from the checkpoint in the output folder")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.detection or self.shards):
            raise ValueError("detection: give a set of pictures with boxes, there or in `shards`")
        if self.teacher is not None and self.network.name != LITE:
            raise ValueError(f"teacher: only {LITE} learns from one, not {self.network.name}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _loss_of_lite(cls, given: Any) -> Any:
        """Give yolov2-lite its own losses where none are given: YOLOv2's would not train its boxes."""
        if not isinstance(given, dict):
            return given
        network, loss = given.get("network", {}), given.get("loss", {})
        name = network.get("name", LITE) if isinstance(network, dict) else getattr(network, "name", None)
        return {**given, "loss": {**LITE_LOSS, **loss}} if name == LITE and isinstance(loss, dict) else given

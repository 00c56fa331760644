"""What a classification run is made of; the defaults are the paper's."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from training.configurations.train import ClassificationSource
from training.configurations.validation import InputSize
from training.data.index.sets import INDEX, SHARDS, ShardSource
from training.data.shards.cache import ShardsConfiguration
from training.data.views import ViewConfiguration
from training.networks.classifiers import ClassifierName
from training.runs.computing import LoopConfiguration
from training.runs.optimization import OptimizerConfiguration
from training.weights.classifier_state import Softmax


class ClassifierNetwork(BaseModel):
    """The network, and what it starts from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassifierName = Field(
        "darknet19",
        description="darknet19, the backbone of yolov2-tiny (tiny), or the classifier inside yolov2-lite (lite, lite2)",
    )
    start: Path | None = Field(
        None,
        description="what to start from: the output folder of another run with this network, darknet's weights, or for "
        "lite and lite2 the word imagenet; by default random weights",
    )
    freeze: tuple[str, ...] = Field((), description="parts that are not trained, such as backbone")


class ClassifierOptimizer(OptimizerConfiguration):
    """The paper's schedule: 160 epochs of SGD from .1 on, polynomial decay with a power of 4."""

    method: Literal["adamw", "sgd"] = Field("sgd", description="what turns gradients to steps")
    epochs: PositiveFloat | None = Field(160, description="epochs to train for; with none, steps")
    batch: PositiveInt = Field(128, description="pictures in a batch, those of all processes together")
    learning_rate: PositiveFloat = Field(0.1, description="peak learning rate")
    warmup: PositiveInt = Field(1, description="steps over which the learning rate rises from 0 to its peak")
    schedule: Literal["cosine", "polynomial", "steps"] = Field(
        "polynomial", description="how it falls after that: half a cosine, a power of what is left of the run, in steps"
    )


class PretrainConfiguration(BaseModel):
    """Pre-train a backbone on pictures with labels alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    important: ClassVar[tuple[str, ...]] = (
        "output",
        "classification",
        "validation",
        "network.name",
        "network.start",
        "sizes",
        "optimizer.epochs",
        "optimizer.batch",
        "loop.device",
        "resume",
    )

    output: Path = Field(description="folder for the checkpoint, the log, the scores and this configuration")
    classification: tuple[ClassificationSource, ...] = Field(
        (),
        description="sets with labels, each with folder (holds a folder of pictures for each WordNet id) and, if "
        "wanted, repeats (default 1) and held_out_every (keep every n-th picture of each id out)",
    )
    shards: tuple[ShardSource, ...] = Field((), description=SHARDS)
    validation: Path | None = Field(
        None, description="folder to score the finished run on, laid out like those; default: what is held out, if any"
    )
    softmax: Softmax = Field(
        "hierarchical", description="hierarchical: one in every sibling group of the tree; flat: one over the labels"
    )
    index: Path | None = Field(None, description=INDEX)
    tree: Path | None = Field(
        None, description="WordTree of the labels, as `wordtree` writes it; default: the packaged one"
    )
    network: ClassifierNetwork = ClassifierNetwork()
    sizes: tuple[InputSize, ...] = Field(
        (224,), description="input sizes to train at, px, multiples of 32; scored at the last of them", min_length=1
    )
    seed: NonNegativeInt = Field(0, description="seed of all random choices")
    augmentation: ViewConfiguration = ViewConfiguration()
    optimizer: ClassifierOptimizer = ClassifierOptimizer()
    shuffling: ShardsConfiguration = ShardsConfiguration()
    loop: LoopConfiguration = LoopConfiguration()
    resume: bool = Field(False, description="continue from the checkpoint in the output folder")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.classification or self.shards):
            raise ValueError("classification: give a set of pictures with labels, there or in `shards`")
        return self

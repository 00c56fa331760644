"""The `export` command: a run's averaged weights as one file, with all that its users need in its metadata."""

import logging
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FilePath, JsonValue, model_validator

from model.wordtree import WordTree
from training.command_line import read_record
from training.configurations.describe import Nodes, describe, usual_size
from training.configurations.load import load_detector
from training.configurations.pretrain import PretrainConfiguration
from training.configurations.train import TrainConfiguration
from training.configurations.validation import InputSize
from training.data.reading import read_letterboxed
from training.evaluation.report import Report, card_scores
from training.export.classifier import ClassifierMetadata, export_classifier
from training.export.model_file import ExportReport, export_detector
from training.export.rounding import fold_norms, round_to_half
from training.networks.backbones.efficientnet_lite import LiteName
from training.networks.classifiers import build_classifier
from training.networks.parts.classifier_inside import ClassifierInside
from training.weights.checkpoint import (
    AVERAGE_PREFIX,
    InvalidCheckpointError,
    has_checkpoint,
    load_checkpoint,
    load_state,
    tensors_of,
)
from training.weights.classifier_state import ClassifierState
from training.weights.run_folder import BEST, CONFIGURATION, load_tree

logger = logging.getLogger(__name__)


class ExportConfiguration(BaseModel):
    """Write a run's weights as one model file, checked against torch before it gets its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Path = Field(description="folder of a `train` run, finished or not")
    checkpoint: Literal["best", "last"] = Field(
        "best", description="best: the weights that were validated best, where the run has any; last: its last ones"
    )
    output: Path = Field(description="the model file to write (.onnx)")
    name: str | None = Field(None, min_length=1, description="the model's name; default: its network's")
    version: str = Field("1", min_length=1, description="the model's version")
    sizes: tuple[InputSize, ...] = Field(
        (256, 288, 320, 352, 384, 416, 448, 480, 512, 544),
        min_length=1,
        description="input sizes to allow, px, multiples of 32",
    )
    default_size: InputSize | None = Field(
        None, description="default input size, px, one of the sizes; by default the one nearest to 416"
    )
    objectness: float = Field(0.25, ge=0, le=1, description="default objectness threshold, 0 to 1")
    half_storage: bool = Field(
        False, description="store weights as float16: half the file size, with 11 bits of precision"
    )
    pictures: tuple[FilePath, ...] = Field(
        (), description="pictures to compare the file with PyTorch on; default: coloured noise"
    )
    evaluation: FilePath | None = Field(None, description="JSON report of `evaluate` whose scores go into the metadata")
    licence: str = Field("Apache-2.0", description="licence of the weights, for the metadata")

    @model_validator(mode="after")
    def _check_default_size(self) -> Self:
        if self.default_size not in {None, *self.sizes}:
            raise ValueError(f"default_size {self.default_size} is not one of the sizes {self.sizes}")
        return self

    @property
    def served_size(self) -> int:
        """The default input size, px."""
        return self.default_size or usual_size(self.sizes)


def export_run(configuration: ExportConfiguration) -> ExportReport:
    """Export a run.

    Raises:
        ConfigurationError: the run's configuration, the report or a picture cannot be read.
        InvalidCheckpointError: the run has no usable checkpoint.
        ExportError: the file does not compute what torch does.
    """
    found = load_detector(chosen_folder(configuration.run, configuration.checkpoint))
    run, state, tree, detector = found.configuration, found.state, found.tree, found.detector
    fold_norms(detector)
    if configuration.half_storage:
        round_to_half(detector)
    backbone = detector.backbone.name if isinstance(detector, ClassifierInside) else None
    metadata = describe(
        run,
        detector,
        tree,
        Nodes(tuple(found.trained), tuple(state.get("labelled", ())), tuple(state.get("boxed", ()))),
        configuration.sizes,
        configuration.served_size,
        name=configuration.name or run.network.name,
        version=configuration.version,
        objectness=configuration.objectness,
        training=training_summary(run, state, tree, backbone),
        evaluation={} if configuration.evaluation is None else evaluation_summary(configuration.evaluation),
        licence=configuration.licence,
    )
    batches = [read_letterboxed(path, configuration.served_size) for path in configuration.pictures]
    return export_detector(
        detector, metadata, configuration.output, half_storage=configuration.half_storage, pictures=batches
    )


def chosen_folder(run: Path, checkpoint: Literal["best", "last"]) -> Path:
    """Return which folder of a run has the weights that are asked for, and tell which steps they are of."""
    best = run / BEST
    if checkpoint == "last" or not has_checkpoint(best):
        return run
    logger.info(
        "%s: takes the weights of step %s, the best of its validations, instead of the last ones",
        run,
        load_state(best)["step"],
    )
    return best


def export_classifier_run(configuration: ExportConfiguration) -> float:
    """Export a classifier's averaged weights; return the largest difference to torch in probabilities.

    Of the settings its sizes and thresholds are a detector's: the file takes any size, and names the run's last one.

    Raises:
        ConfigurationError: the run's configuration cannot be read.
        InvalidCheckpointError: the run has no usable checkpoint.
        ExportError: the file does not compute what torch does.
    """
    folder = configuration.run
    tensors, state = load_checkpoint(folder)
    run = read_record(PretrainConfiguration, folder / CONFIGURATION)
    classifier, tree = ClassifierState.read(folder, state), load_tree(folder, state)
    nodes: list[int] = state["trained"]
    network = build_classifier(classifier.network, len(nodes))
    try:
        network.load_state_dict(tensors_of(tensors, AVERAGE_PREFIX))
    except RuntimeError as error:
        raise InvalidCheckpointError(f"{folder}: its weights are not those of {classifier.network}") from error
    fold_norms(network.eval())
    subset = tree.subset(nodes) if classifier.softmax == "hierarchical" else None
    metadata = ClassifierMetadata(
        name=configuration.name or classifier.network,
        version=configuration.version,
        wnids=tuple(tree.wnids[node] for node in nodes),
        names=tuple(tree.names[node] for node in nodes),
        parents=None if subset is None else tuple(subset.parents.tolist()),
        default_size=run.sizes[-1],
        training={
            "network": classifier.network,
            "softmax": classifier.softmax,
            "classification_sets": [source.folder.name for source in run.classification],
            "steps": state["step"],
            "batch": run.optimizer.batch,
            "sizes": list(run.sizes),
            "seed": run.seed,
        },
        licence=configuration.licence,
    )
    return export_classifier(network, metadata, subset, configuration.output, half_storage=configuration.half_storage)


def training_summary(
    run: TrainConfiguration, state: dict[str, Any], tree: WordTree, backbone: LiteName | None
) -> dict[str, JsonValue]:
    """Tell how a model came about, without the paths of the machine that trained it.

    Args:
        run: its configuration.
        state: of its checkpoint.
        tree: the whole one.
        backbone: of the classifier inside; None where there is none.
    """
    start = "random weights" if backbone is None else f"EfficientNet-{backbone.capitalize()}, ImageNet-1k weights"
    return {
        "network": run.network.name,
        **({} if backbone is None else {"backbone": backbone}),
        "start": start if run.network.start is None else run.network.start.name,
        "detection_sets": [source.annotations.stem for source in run.detection],
        "classification_sets": [source.folder.name for source in run.classification],
        "steps": state["step"],
        "batch": run.optimizer.batch,
        "sizes": list(run.sizes),
        "seed": run.seed,
        "trained_nodes": len(state["trained"]),
        "tree_nodes": len(tree),
        "loss": run.loss.model_dump(mode="json"),
        **({"refit": state["refit"]} if "refit" in state else {}),
    }


def evaluation_summary(path: Path) -> dict[str, JsonValue]:
    """Keep what a model card needs of a report: the scores of every set, and of its categories the AP50."""
    report = read_record(Report, path)
    return {"evaluated_sha256": report.model.sha256, "sets": card_scores(report.sets)}

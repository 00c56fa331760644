"""The `refit` command: a detector's class layer once more, alone, on what the whole detector sees.

Boxes take long to learn; in that time the class layer learns the few categories that have many boxes by heart, at the
cost of the thousand that the classifier inside knows. Once the rest of the network stands still its features can be
kept, so that the layer is learned again from zero within minutes, with every set counting as it should and strong
weight decay. Learning features from data as it comes and the classifier from balanced data is decoupled training
(Kang et al., "Decoupling representation and classifier for long-tailed recognition", ICLR 2020, section 4.2).

A yolov2-lite learns in the same minutes to judge its boxes a second time.
"""

import hashlib
import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor

from training.command_line import ConfigurationError
from training.configurations.load import TrainedDetector, check_nodes, load_detector
from training.configurations.mixing import labelled_in_group, read_data, trained_index
from training.configurations.validation import InputSize
from training.data.batches import BatchSampler
from training.data.box_examples import examples_of_backgrounds, joined
from training.data.class_examples import collect_examples
from training.data.mixture import Mixture
from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.parts.classifier_inside import ClassifierInside
from training.networks.yolov2_lite import YOLOv2Lite
from training.runs.computing import Device, LoopConfiguration, use_device
from training.runs.refit.class_fit import ClassFit, fit_classes
from training.runs.refit.kept_look import Look, keep_look, kept_look
from training.runs.refit.quality_fit import QualityFit, fit_quality
from training.weights.checkpoint import AVERAGE_PREFIX, NETWORK_PREFIX, save_checkpoint, tensors_of
from training.weights.flat_classifier import load_flat_classifier
from training.weights.run_folder import CONFIGURATION, TREE, open_run_folder

logger = logging.getLogger(__name__)

FITTED: Final = (
    "class_layer.correction.",
    "class_layer.log_temperature.",
    "class_layer.mixture.",
    "class_layer.reliability",
    "quality.",
)
SETS: Final = {"detection", "classification", "shards", "opinions", "augmentation"}
"""What of a run's configuration says which pictures there are, how they are labelled, and how they are shown."""
PICTURES: Final = 16  # looked at at once
BACKGROUNDS: Final = "backgrounds"
"""What they are called among the sets."""


class RefitConfiguration(ClassFit, QualityFit):
    """Learn the class layer of a yolov2-lite or yolov2-efficientnet anew, with the rest of the network as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Path = Field(description="folder of a `train` run of yolov2-lite or yolov2-efficientnet, finished or not")
    output: Path = Field(description="folder for the run with the new class layer")
    epochs: PositiveInt = Field(1, description="looks at each picture, each in another view")
    shares: dict[str, NonNegativeFloat] = Field({}, description="weight of each set as a whole, by its name; default 1")
    quality_shares: dict[str, NonNegativeFloat] | None = Field(
        None,
        description="the same for the quality of boxes, where backgrounds are a set of that name; default: shares",
    )
    backgrounds: NonNegativeInt = Field(
        0, description="made-up pictures of nothing to learn the quality of boxes from: plain colours, gradients, noise"
    )
    sizes: tuple[InputSize, ...] | None = Field(
        None, min_length=1, description="input sizes, px; default: those of the run"
    )
    look: Path | None = Field(
        None,
        description="file that keeps what the network sees of the pictures: the first refit writes it, and the next, "
        "with other shares or passes, takes a minute. 1 GB for 200,000 boxes",
    )
    device: Device = Field("auto", description="auto: a GPU if there is one")
    workers: NonNegativeInt = Field(1, description="processes that prepare pictures; 0: this one")


def refit_run(configuration: RefitConfiguration) -> int:
    """Refit a run; return the number of objects it learned from.

    The run's sets are read again, each picture once an epoch: how much a set counts, shares say. Mosaics, backgrounds
    and views near one object are left out: the layer is to see what the service sees.

    Raises:
        ConfigurationError: the run's configuration cannot be read, is of another network, or has no set of a name in
            `shares` or `quality_shares`; or `look` is of something else.
        FolderInUseError: the output folder holds a run already.
        InvalidCheckpointError: the run has no usable checkpoint, or its sets have changed.
        InvalidDatasetError: a set cannot be used.
    """
    run = load_detector(configuration.run)
    detector = run.detector
    if not isinstance(detector, ClassifierInside):
        raise ConfigurationError(
            f"{configuration.run}: only yolov2-lite and yolov2-efficientnet have such a class layer, not "
            f"{run.configuration.network.name}"
        )
    open_run_folder(configuration.output, resume=False)
    mixture = _pictures(configuration, run, detector)
    names = [source.name for source in mixture.sources]
    shares = shares_of("shares", configuration.shares, names)
    quality_shares = configuration.quality_shares
    of_quality = shares_of(
        "quality_shares", configuration.shares if quality_shares is None else quality_shares, [*names, BACKGROUNDS]
    )
    loop = LoopConfiguration(device=configuration.device)
    device = loop.choose_device()
    use_device(device)
    loop.place(detector, device)
    sizes = configuration.sizes or run.configuration.sizes
    look = _look(configuration, run, detector, mixture, sizes)
    subset = run.tree.subset(run.trained)
    softmax = HierarchicalSoftmax(subset).to(device)
    detector.class_layer.trust(torch.from_numpy(labelled_in_group(mixture, subset)), configuration.half_trusted)
    loss = fit_classes(detector.class_layer, look.objects, shares, softmax, configuration)
    logger.info("%d objects, loss %.3f at the end", len(look.objects.nodes), loss)
    if look.boxes is not None and isinstance(detector, YOLOv2Lite):
        nothing = examples_of_backgrounds(
            detector, configuration.backgrounds, sizes, len(names), configuration.boxes, configuration.seed
        )
        unsure = look.boxes if nothing is None else joined([look.boxes, nothing])
        loss = fit_quality(detector.quality, unsure, of_quality, configuration, configuration.seed)
        logger.info("%d boxes, loss %.3f at the end", len(unsure.overlap), loss)
    _save(configuration, run, detector)
    return len(look.objects.nodes)


def _pictures(configuration: RefitConfiguration, run: TrainedDetector, detector: ClassifierInside) -> Mixture:
    """Return the run's pictures, each of them once."""
    settings = run.configuration
    data = read_data(settings, run.tree, load_flat_classifier(settings.network.start, detector.backbone.name).wnids)
    check_nodes(configuration.run, run.state, data, run.tree)
    return Mixture(
        [replace(source, repeats=1, balance=0.0) for source in data.sources],
        trained_index(data.trained, len(run.tree)),
        settings.augmentation.model_copy(update={"mosaic": 0, "backgrounds": 0, "focus": 0}),
        configuration.seed,
    )


def _look(
    configuration: RefitConfiguration,
    run: TrainedDetector,
    detector: ClassifierInside,
    mixture: Mixture,
    sizes: Sequence[int],
) -> Look:
    """Return what the detector sees of the pictures, from the file that keeps it where it has looked before."""
    batches = math.ceil(len(mixture) * configuration.epochs / PICTURES)
    stream = BatchSampler(mixture.items, PICTURES, sizes, configuration.seed, 0, batches)

    def collect() -> Look:
        return Look(*collect_examples(detector, mixture, stream, configuration.workers, configuration.boxes))

    if configuration.look is None:
        return collect()
    of = {
        "network": _digest(run.tensors),
        "sets": run.configuration.model_dump(mode="json", include=SETS) | {"pictures": len(mixture)},
        "sizes": sizes,
        **configuration.model_dump(include={"epochs", "boxes", "seed"}),
    }
    look = kept_look(configuration.look, of)
    if look is not None:
        logger.info("%s: what was seen before", configuration.look)
        return look
    look = collect()
    keep_look(configuration.look, look, of)
    return look


def _digest(tensors: dict[str, Tensor]) -> str:
    """Return a digest of the averaged weights that a look depends on: all but those that a refit learns."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors_of(tensors, AVERAGE_PREFIX).items()):
        if not name.startswith(FITTED):
            digest.update(name.encode())
            digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _save(configuration: RefitConfiguration, run: TrainedDetector, detector: ClassifierInside) -> None:
    """Write the run's checkpoint, with what was learned, into the output folder."""
    fitted = {name: value.cpu() for name, value in detector.state_dict().items() if name.startswith(FITTED)}
    tensors = dict(run.tensors)
    for prefix in (NETWORK_PREFIX, AVERAGE_PREFIX):
        tensors |= {f"{prefix}{name}": value.clone() for name, value in fitted.items()}
    learned = configuration.model_dump(mode="json", exclude={"run", "output", "look", "workers", "device"})
    for name in (CONFIGURATION, TREE):
        if (configuration.run / name).exists():
            shutil.copy(configuration.run / name, configuration.output / name)
    save_checkpoint(configuration.output, tensors, {**run.state, "refit": learned})


def shares_of(option: str, given: Mapping[str, float], names: list[str]) -> list[float]:
    """Return how much each set of a name counts.

    Args:
        option: the name of what is given.
        given: how much sets count; the others count 1.
        names: of the run's sets.

    Raises:
        ConfigurationError: a share is of a set that the run does not have.
    """
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise ConfigurationError(f"{option}: the run has no set {unknown[0]!r}; its sets are {', '.join(names)}")
    return [given.get(name, 1.0) for name in names]

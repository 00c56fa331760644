"""The `refit` command: the class layer around a classifier once more, alone, on what the whole detector sees.

Boxes take long to learn; in that time the class layer learns the few categories that have many boxes by heart, at the
cost of the thousand that the classifier inside knows. Once the rest of the network stands still its features can be
kept, so that the layer is learned again from zero within minutes, with every set counting as it should and strong
weight decay. Learning features from data as it comes and the classifier from balanced data is decoupled training
(Kang et al., "Decoupling representation and classifier for long-tailed recognition", ICLR 2020, section 4.2).
"""

import logging
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from tqdm import tqdm

from training.command_line import ConfigurationError
from training.commands.export import averaged_detector, read_record
from training.commands.train import check_nodes
from training.configurations.mixing import labelled_in_group, read_data, trained_index
from training.configurations.train import InputSize, TrainConfiguration
from training.data.batches import Mixture, Stream
from training.data.class_examples import ClassExamples, collect_examples
from training.losses.hierarchical import NO_NODE, HierarchicalSoftmax
from training.networks.parts.class_layer import TreeClassLayer
from training.networks.parts.classifier_inside import ClassifierInside
from training.runs.computing import Device, LoopConfiguration
from training.weights.checkpoint import AVERAGE_PREFIX, NETWORK_PREFIX, load_checkpoint, save_checkpoint, trained_nodes
from training.weights.flat_classifier import load_flat_classifier
from training.weights.run_folder import CONFIGURATION, TREE, load_tree, open_run_folder

logger = logging.getLogger(__name__)

CLASS_LAYER: Final = "class_layer."
FITTED: Final = (
    "correction.weight",
    "correction.bias",
    "log_temperature.weight",
    "log_temperature.bias",
    "reliability",
    "kind_share.weight",
    "kind_share.bias",
)
PICTURES: Final = 16  # looked at at once
ROWS: Final = 4096  # of the kept features in double precision at once
LEAST_DEVIATION: Final = 0.05  # of a feature; one that hardly ever differs from zero is not to be blown up


class RefitConfiguration(BaseModel):
    """Learn the class layer of a yolov2-lite or yolov2-pyramid anew, with the rest of the network as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: Path = Field(description="output folder of a `train` run of one of the two, finished or not")
    output: Path = Field(description="folder for the run with the new class layer")
    epochs: PositiveInt = Field(1, description="times the run's pictures are looked at, each time in other views")
    passes: PositiveFloat = Field(2, description="times every object seen is learned from")
    batch: PositiveInt = Field(128, description="objects in a batch")
    learning_rate: PositiveFloat = Field(3e-2, description="peak learning rate, Adam's")
    temperature_rate: NonNegativeFloat = Field(
        2e-2,
        description="the same for the temperature and for the share of kinds; 0: the temperature stays 1, the share .5",
    )
    decay: NonNegativeFloat = Field(
        1e-4,
        description="weight of the sum of the squared corrections in the loss, of inputs with a variance of 1 in all",
    )
    temperature_decay: NonNegativeFloat = Field(
        1e-4, description="the same for the weights of the temperature and of the share of kinds"
    )
    logit_adjustment: NonNegativeFloat = Field(
        0,
        description="how much of what is frequent in a set is put down to the set and not learned: 0 nothing, 1 all. A "
        "set of apples alone should not teach that no fruit is a berry",
    )
    half_trusted: NonNegativeFloat = Field(
        100, description="labels within a sibling group at which its corrections count half"
    )
    distillation_scale: NonNegativeFloat = Field(
        0.5, description="weight of the agreement with the classifier beneath the labels"
    )
    shares: dict[str, NonNegativeFloat] = Field(
        {}, description="how much a set counts as a whole, by its name; 1 where it is not named"
    )
    sizes: tuple[InputSize, ...] | None = Field(
        None, min_length=1, description="input sizes to look at pictures at, px; default: those of the run"
    )
    overconfidence: PositiveFloat = Field(
        1,
        description="factor on every temperature at the end: on pictures it was trained on a detector is surer of "
        "itself than on others; to be chosen on others, as `evaluate` shows what it does to the calibration error",
    )
    temperature_power: PositiveFloat = Field(
        1,
        description="power that every temperature is raised to at the end, for the same reason: above 1 it takes most "
        "from names that are doubted already, and nothing from those at a temperature of 1",
    )
    device: Device = Field("auto", description="what computes; auto: a GPU where there is one")
    workers: NonNegativeInt = Field(1, description="processes that prepare pictures; 0: the one that looks at them")
    seed: NonNegativeInt = Field(0, description="seed of every random choice")


def refit_run(configuration: RefitConfiguration) -> int:
    """Refit a run; return the number of objects it learned from.

    The run's sets are read again, each picture once an epoch: how much a set counts, shares say. Mosaics, backgrounds
    and views near one object are left out: the layer is to see what the service sees.

    Raises:
        ConfigurationError: the run's configuration cannot be read, is of another network, or has no set of a name in
            `shares`.
        FolderInUseError: the output folder holds a run already.
        InvalidCheckpointError: the run has no usable checkpoint, or its sets have changed.
        InvalidDatasetError: a set cannot be used.
    """
    tensors, state = load_checkpoint(configuration.run)
    run = read_record(TrainConfiguration, configuration.run / CONFIGURATION)
    tree = load_tree(configuration.run, state)
    trained = trained_nodes(configuration.run, state, tree)
    detector = averaged_detector(run, tensors, len(trained))
    if not isinstance(detector, ClassifierInside):
        raise ConfigurationError(
            f"{configuration.run}: only yolov2-lite and yolov2-pyramid have such a class layer, not {run.network.name}"
        )
    open_run_folder(configuration.output, resume=False)
    backbone = detector.backbone.name
    data = read_data(run, tree, load_flat_classifier(run.network.start, backbone).wnids)
    check_nodes(configuration.run, state, data, tree)
    mixture = Mixture(
        [replace(source, repeats=1, balance=0.0) for source in data.sources],
        trained_index(data.trained, len(tree)),
        run.augmentation.model_copy(update={"mosaic": 0, "backgrounds": 0, "focus": 0}),
        configuration.seed,
    )
    shares = shares_of(configuration, [source.name for source in mixture.sources])
    batches = math.ceil(len(mixture) * configuration.epochs / PICTURES)
    stream = Stream(len(mixture), PICTURES, configuration.sizes or run.sizes, configuration.seed, 0, batches)
    loop = LoopConfiguration(device=configuration.device)
    device = loop.choose_device()
    loop.place(detector, device)
    examples = collect_examples(detector, mixture, stream, configuration.workers)
    subset = tree.subset(trained)
    detector.class_layer.trust(torch.from_numpy(labelled_in_group(mixture, subset)), configuration.half_trusted)
    softmax = HierarchicalSoftmax(subset).to(device)
    loss = fit(detector.class_layer, examples, shares, softmax, configuration)
    logger.info("%d objects, loss %.3f at the end", len(examples.nodes), loss)
    with torch.no_grad():
        log_temperature = detector.class_layer.log_temperature
        log_temperature.weight.mul_(configuration.temperature_power)
        log_temperature.bias.mul_(configuration.temperature_power).add_(math.log(configuration.overconfidence))
    every = detector.class_layer.state_dict()
    fitted = {name: every[name].cpu() for name in FITTED if name in every}
    for prefix in (NETWORK_PREFIX, AVERAGE_PREFIX):
        tensors |= {f"{prefix}{CLASS_LAYER}{name}": value.clone() for name, value in fitted.items()}
    state["refit"] = configuration.model_dump(mode="json", exclude={"run", "output", "workers", "device"})
    for name in (CONFIGURATION, TREE):
        if (configuration.run / name).exists():
            shutil.copy(configuration.run / name, configuration.output / name)
    save_checkpoint(configuration.output, tensors, state)
    return len(examples.nodes)


def shares_of(configuration: RefitConfiguration, names: list[str]) -> list[float]:
    """Return how much each set of a name counts.

    Raises:
        ConfigurationError: a share is of a set that the run does not have.
    """
    unknown = sorted(set(configuration.shares) - set(names))
    if unknown:
        raise ConfigurationError(f"shares: the run has no set {unknown[0]!r}; its sets are {', '.join(names)}")
    return [configuration.shares.get(name, 1.0) for name in names]


def fit(
    layer: TreeClassLayer,
    examples: ClassExamples,
    shares: list[float],
    softmax: HierarchicalSoftmax,
    configuration: RefitConfiguration,
) -> float:
    """Learn the layer's correction and temperature from zero; return the mean loss of the last tenth of the batches.

    While they are learned, the logits of a set's objects are raised by `logit_adjustment` times the logarithm of how
    many of its labels lie at and beneath a node. That a kind is frequent in a set need then not be learned, and is not
    there when a picture comes from elsewhere (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021).

    All is learned on standardised inputs, so that decay means the same for all of them; mean and deviation are
    multiplied into the layer at the end.

    Args:
        layer: its reliability is set; its device computes.
        examples: the objects.
        shares: how much each source counts as a whole.
        softmax: of the trained tree, on the same device.
        configuration: how to learn.
    """
    chance = chances(examples.sources, shares)  # objects are drawn on the CPU: the same whatever computes
    device = layer.correction.weight.device
    examples = ClassExamples(*(part.to(device) for part in examples))
    steps = max(1, round(configuration.passes * len(examples.nodes) / configuration.batch))
    generator = torch.Generator().manual_seed(configuration.seed)
    standard = _Standardised(examples)
    frequent = configuration.logit_adjustment * label_counts(examples, len(shares), softmax).add(1).log()
    correction, temperature, share = (
        _zero_layer(len(standard.mean), rows, device) for rows in (layer.correction.out_features, 1, 1)
    )
    learned = [
        {"params": correction.parameters(), "lr": configuration.learning_rate},
        {"params": [*temperature.parameters(), *share.parameters()], "lr": configuration.temperature_rate},
    ]
    optimizer = torch.optim.Adam(learned)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in tqdm(range(steps), unit="step", mininterval=5):
        drawn = torch.multinomial(chance, configuration.batch, replacement=True, generator=generator).to(device)
        features, evidence, nodes = (
            examples.features[drawn].float(),
            examples.evidence[drawn].float(),
            examples.nodes[drawn],
        )
        seen = standard(features, evidence)
        shared = share(seen).sigmoid() if layer.kinds else None
        logits = layer.joined(features, evidence, correction(seen), shared) / temperature(seen).exp()
        teacher = layer.classifier_logits(features).detach()
        loss = softmax.path_loss(logits + frequent[examples.sources[drawn]], nodes).mean()
        loss = loss + configuration.distillation_scale * softmax.distillation_loss(logits, teacher, nodes).mean()
        loss = loss + configuration.decay * correction.weight.square().sum()
        for one_a_box in (temperature, share):
            loss = loss + configuration.temperature_decay * one_a_box.weight.square().sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    standard.fold(correction, layer.correction)
    standard.fold(temperature, layer.log_temperature)
    if layer.kinds:
        standard.fold(share, layer.kind_share)
    last = losses[-max(1, steps // 10) :]
    return float(torch.stack(last).mean())


def _zero_layer(inputs: int, outputs: int, device: torch.device) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, device=device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class _Standardised:
    """What a class layer sees, with mean 0 and a variance of 1 in all."""

    def __init__(self, examples: ClassExamples) -> None:
        seen = torch.cat((examples.features, examples.evidence), dim=1)
        parts = [slice(first, first + ROWS) for first in range(0, len(seen), ROWS)]
        self.mean = torch.stack([seen[part].double().sum(0) for part in parts]).sum(0) / len(seen)
        squares = torch.stack([(seen[part].double() - self.mean).square().sum(0) for part in parts])
        square = squares.sum(0) / len(seen)
        self.scale = square.sqrt().clamp(min=LEAST_DEVIATION) * math.sqrt(seen.shape[1])

    def __call__(self, features: Tensor, evidence: Tensor) -> Tensor:
        return ((torch.cat((features, evidence), dim=1) - self.mean) / self.scale).float()

    @torch.no_grad()
    def fold(self, learned: nn.Linear, into: nn.Linear) -> None:
        """Give `into` the weights that say of what is seen what `learned` says of it standardised."""
        weight = learned.weight.double() / self.scale
        into.weight.copy_(weight)
        into.bias.copy_(learned.bias - (weight @ self.mean))


def label_counts(examples: ClassExamples, sets: int, softmax: HierarchicalSoftmax) -> Tensor:
    """Return how many labels of each set lie at and beneath each node, [sets, nodes]."""
    nodes = len(softmax.parents)
    paths = softmax.paths[examples.nodes]
    counts = torch.zeros(sets, nodes + 1, device=paths.device)  # the last for what fills up short paths
    places = (examples.sources[:, None].expand_as(paths), paths.masked_fill(paths == NO_NODE, nodes))
    return counts.index_put_(places, counts.new_ones(()), accumulate=True)[:, :nodes]


def chances(sources: Tensor, shares: list[float]) -> Tensor:
    """Return how likely each object [K] is to be drawn: a source's share, divided among its objects."""
    counts = torch.bincount(sources, minlength=len(shares))
    each = torch.tensor(shares) / counts.clamp(min=1)
    return each[sources]

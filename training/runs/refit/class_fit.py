"""How a class layer is learned from what a trained detector sees of its objects, with all else as it is."""

import math
from typing import Final

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from training.data.class_examples import ClassExamples
from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.parts.class_layer import TreeClassLayer
from training.networks.parts.class_mixture import SURENESS, ClassMixture
from training.runs.refit.minimise import minimise
from training.runs.refit.standardised import ROWS, Standardised
from training.targets import NO_NODE

MIXTURE_INPUT: Final = 0.3  # deviation of what a box shows, as the mixture's hidden units get it; of sureness it is 1


class ClassFit(BaseModel):
    """How to learn it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    passes: PositiveFloat = Field(2, description="passes over the objects seen")
    batch: PositiveInt = Field(256, description="objects in a batch")
    learning_rate: PositiveFloat = Field(1e-2, description="peak learning rate of the corrections (Adam)")
    temperature_rate: NonNegativeFloat = Field(
        2e-2, description="peak learning rate of the temperatures; 0: they stay 1"
    )
    mixture_rate: PositiveFloat = Field(3e-3, description="peak learning rate of the shares of classifier and detector")
    decay: NonNegativeFloat = Field(
        1e-3,
        description="weight of the squared corrections in the loss, for inputs with variance 1",
    )
    temperature_decay: NonNegativeFloat = Field(1e-4, description="the same for the weights of the temperature")
    mixture_decay: NonNegativeFloat = Field(0.02, description="weight decay of the mixture (AdamW)")
    mixture_dropout: float = Field(
        0.4, ge=0, lt=1, description="share of the mixture's inputs and hidden units dropped at random"
    )
    logit_adjustment: NonNegativeFloat = Field(
        0.1,
        description=(
            "0 to 1: how far frequencies within a set are attributed to the set and not learned. "
            "A set of only apples should not teach that fruit is never a berry"
        ),
    )
    half_trusted: NonNegativeFloat = Field(
        300, description="labels within a sibling group at which its corrections count half"
    )
    distillation_scale: NonNegativeFloat = Field(
        0, description="weight of the agreement with the classifier below the labels"
    )
    overconfidence: PositiveFloat = Field(
        1,
        description=(
            "factor of all temperatures at the end. A detector is surer on pictures it was "
            "trained on, so choose it on others: `evaluate` shows the calibration error"
        ),
    )
    temperature_power: PositiveFloat = Field(
        1,
        description=(
            "power of all temperatures at the end, for the same reason. Above 1 it lowers "
            "doubtful names most, and those with a temperature of 1 not at all"
        ),
    )
    seed: NonNegativeInt = Field(0, description="seed of every random choice")


def fit_classes(
    layer: TreeClassLayer,
    examples: ClassExamples,
    shares: list[float],
    softmax: HierarchicalSoftmax,
    settings: ClassFit,
) -> float:
    """Learn a layer's mixture, correction and temperature from zero; return the mean loss of the last tenth of batches.

    While they are learned, the logits of a set's objects are raised by `logit_adjustment` times the logarithm of how
    many of its labels lie at and beneath a node. That a kind is frequent in a set need then not be learned, and is not
    there when a picture comes from elsewhere (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021).

    Args:
        layer: its reliability is set; its device computes.
        examples: the objects.
        shares: how much each source counts as a whole.
        softmax: of the trained tree, on the same device.
        settings: how to learn.
    """
    chance = chances(examples.sources, shares)
    device = layer.correction.weight.device
    examples = ClassExamples(*(part.to(device) for part in examples))
    torch.manual_seed(settings.seed)  # of the mixture's first weights, and of what it leaves out
    standard = Standardised(torch.cat((examples.features, examples.evidence), dim=1))
    inputs = len(standard.mean)
    frequent = settings.logit_adjustment * label_counts(examples, len(shares), softmax).add(1).log()
    correction, temperature = (_zero_layer(inputs, rows, device) for rows in (layer.correction.out_features, 1))
    sure = _sureness(layer, examples) if layer.kinds else standard.mean.new_zeros(len(examples.nodes), SURENESS)
    standard_sure = Standardised(sure)
    mixture = ClassMixture(inputs + SURENESS, settings.mixture_dropout).to(device)
    optimizer = torch.optim.AdamW(
        [
            {"params": correction.parameters(), "lr": settings.learning_rate},
            {"params": temperature.parameters(), "lr": settings.temperature_rate},
            {"params": mixture.parameters(), "lr": settings.mixture_rate, "weight_decay": settings.mixture_decay},
        ],
        weight_decay=0,
    )

    def loss(drawn: Tensor) -> Tensor:
        features, evidence = examples.features[drawn].float(), examples.evidence[drawn].float()
        nodes = examples.nodes[drawn]
        seen = standard(torch.cat((features, evidence), dim=1))
        even = seen / math.sqrt(inputs)
        share = mixture(torch.cat((seen * MIXTURE_INPUT, standard_sure(sure[drawn])), 1)) if layer.kinds else None
        logits = layer.joined(features, evidence, correction(even), share) / temperature(even).exp()
        total = softmax.path_loss(logits + frequent[examples.sources[drawn]], nodes).mean()
        if settings.distillation_scale:
            teacher = layer.classifier_logits(features).detach()
            total = total + settings.distillation_scale * softmax.distillation_loss(logits, teacher, nodes).mean()
        total = total + settings.decay * correction.weight.square().sum()
        decayed: Tensor = total + settings.temperature_decay * temperature.weight.square().sum()
        return decayed

    last = minimise(
        loss, optimizer, chance, batch=settings.batch, passes=settings.passes, seed=settings.seed, device=device
    )
    standard.fold(correction, layer.correction, 1 / math.sqrt(inputs))
    standard.fold(temperature, layer.log_temperature, 1 / math.sqrt(inputs))
    if layer.kinds:
        factor = torch.cat((standard.mean.new_full((inputs,), MIXTURE_INPUT), standard.mean.new_ones(SURENESS)))
        standard.with_others(standard_sure).fold(mixture.hidden, layer.mixture.hidden, factor)
        layer.mixture.output.load_state_dict(mixture.output.state_dict())
    with torch.no_grad():
        layer.log_temperature.weight.mul_(settings.temperature_power)
        layer.log_temperature.bias.mul_(settings.temperature_power).add_(math.log(settings.overconfidence))
    return last


@torch.no_grad()
def _sureness(layer: TreeClassLayer, examples: ClassExamples) -> Tensor:
    """Return how sure the classifier and the kinds are of each object, [K, SURENESS]."""
    parts = zip(torch.split(examples.features, ROWS), torch.split(examples.evidence, ROWS), strict=True)
    return torch.cat([layer.sureness(features.float(), evidence.float()) for features, evidence in parts])


def _zero_layer(inputs: int, outputs: int, device: torch.device) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, device=device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


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

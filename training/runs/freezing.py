"""Which parts of a network stay as they are while the rest is trained."""

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from training.command_line import ConfigurationError
from training.networks.backbones.efficientnet_lite import FoldedConvolution


def freeze(network: nn.Module, stages: Sequence[str]) -> None:
    """Keep parts of a network from being trained.

    Args:
        network: its parameters' `requires_grad` is changed.
        stages: names of modules, such as "backbone" or "backbone.fine.0".

    Raises:
        ConfigurationError: the network has no such part, or nothing is left to train.
    """
    modules = dict(network.named_modules())
    for stage in stages:
        if stage not in modules or not stage:
            parts = ", ".join(name for name, _ in network.named_children())
            raise ConfigurationError(f"network.freeze: there is no {stage!r} in this network; its parts are {parts}")
        modules[stage].requires_grad_(requires_grad=False)
    if not any(value.requires_grad for value in network.parameters()):
        raise ConfigurationError(f"network.freeze: with {', '.join(stages)} frozen, nothing is left to train")


def set_training_mode(network: nn.Module, *, fixed_statistics: bool) -> None:
    """Put a network into training mode, all but the batch norms that shall not change.

    A norm whose own weights are frozen keeps its running statistics; with `fixed_statistics` every norm does.
    """
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm | FoldedConvolution):
            frozen = not any(value.requires_grad for value in module.parameters(recurse=False))
            if fixed_statistics or frozen:
                module.eval()

"""A backbone for tests of what is built on it."""

import torch

from training.networks.backbones.efficientnet_lite import EfficientNetLite


def lively_backbone() -> EfficientNetLite:
    """Return a backbone with random weights whose norms do something."""
    backbone = EfficientNetLite()
    with torch.no_grad():
        for name, values in backbone.named_buffers():
            values.uniform_(0.5, 1.5) if name.endswith("running_var") else values.normal_(0, 0.1)
    return backbone

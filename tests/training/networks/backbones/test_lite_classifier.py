"""EfficientNet-Lite0 as a classifier that is trained, its norms included."""

import copy

import torch
from torch.nn import functional as F

from training.networks.backbones.efficientnet_lite import NORM_EPSILON, EfficientNetLite, FoldedConvolution
from training.networks.backbones.lite_classifier import LiteClassifier


def test_a_norm_that_learns_its_statistics() -> None:
    torch.manual_seed(0)
    folded = FoldedConvolution(3, 4, 3)
    learning = copy.deepcopy(folded)
    learning.learns_statistics = True
    x = torch.randn(2, 3, 6, 6)
    raw = F.conv2d(x, folded.weight, padding=1)

    assert torch.equal(folded(x), learning.eval()(x))
    normal = F.batch_norm(raw, None, None, folded.scale, folded.bias, training=True, eps=NORM_EPSILON)
    torch.testing.assert_close(learning.train()(x), F.relu6(normal))
    assert learning.running_mean is not None
    torch.testing.assert_close(learning.running_mean, 0.01 * raw.mean((0, 2, 3)))


def test_the_whole() -> None:
    torch.manual_seed(0)
    network = LiteClassifier(5, EfficientNetLite())
    pictures = torch.rand(2, 3, 64, 64) * 255
    before = {name: value.clone() for name, value in network.named_buffers()}
    network(pictures).square().sum().backward()

    assert all(value.grad is not None for value in network.parameters())
    assert all(not torch.equal(value, before[name]) for name, value in network.named_buffers())
    with torch.no_grad():
        network.eval()
        features = network.backbone.head(network.backbone(pictures)[2]).mean((2, 3))
        torch.testing.assert_close(network(pictures), network.class_layer(features))
    expected = set(EfficientNetLite().state_dict())
    assert {name.removeprefix("backbone.") for name in network.state_dict() if name.startswith("backbone.")} == expected

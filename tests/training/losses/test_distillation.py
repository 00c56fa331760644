"""What the ImageNet classifier says of objects."""

import torch

from tests.training.networks.parts.test_class_layer import FEATURES, started
from training.losses.distillation import classifier_opinion
from training.networks.parts.classifier_inside import INNER_PART
from training.networks.parts.regions import integral_image
from training.targets import Targets


def targets() -> Targets:
    return Targets(
        boxes=torch.tensor([[0.125, 0.875, 0.2, 0.2], [0.5, 0.5, 1.0, 1.0]]),  # the cell at the bottom left, and all
        nodes=torch.tensor([3, 4]),
        picture=torch.tensor([1, 0]),
        confidence=torch.ones(2),
        negative_weight=torch.tensor([0.0, 1.0]),
        class_only_pictures=torch.tensor([1]),
        class_only_nodes=torch.tensor([2]),
    )


def test_it_is_the_classifiers_of_the_mean_over_the_inner_part_of_each_object() -> None:
    layer, features = started(), torch.randn(2, FEATURES, 4, 4)
    found = classifier_opinion(layer, integral_image(features), targets())

    # of a whole picture's row of 4 cells the inner 70 % covers 2.8: two whole ones, and .4 of those beside them
    outer = 2 * INNER_PART - 1
    cover = torch.tensor([outer, 1, 1, outer]) / (4 * INNER_PART)
    means = torch.einsum("bchw,h,w->bc", features, cover, cover)
    expected = layer.classifier_logits(torch.stack((features[1, :, 3, 0], means[0], means[1])))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_it_does_not_change_as_the_class_layer_learns_and_teaches_nothing_back() -> None:
    layer, integral = started(), integral_image(torch.randn(2, FEATURES, 4, 4)).requires_grad_()
    before = classifier_opinion(layer, integral, targets())
    torch.nn.init.normal_(layer.correction.weight)

    torch.testing.assert_close(classifier_opinion(layer, integral, targets()), before, rtol=0, atol=0)
    assert not before.requires_grad

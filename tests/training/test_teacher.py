"""What the ImageNet classifier says of a tree, of objects, and of a detector's first class rows."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from model.wordtree import WordTree
from training.losses.hierarchical import NO_NODE, HierarchicalSoftmax
from training.losses.targets import Truths
from training.networks.efficientnet_lite import HEAD_CHANNELS, EfficientNetLite0, ImageNetClassifier
from training.networks.regions import integral_image
from training.networks.yolov2_lite import YOLOv2Lite
from training.teacher import ImageNetTeacher, TreeClassifier, initial_rows, object_features

# thing (animal (dog (beagle, pug, puppy), cat), car, lamp), matter (water, rust); of the dogs ImageNet has no puppies,
# nothing at all of rust, and "dog" and "ghost" as classes of their own, the latter not in the tree
WNIDS = ("thing", "matter", "animal", "car", "lamp", "water", "rust", "dog", "cat", "beagle", "pug", "puppy")
PARENTS = (-1, -1, 0, 0, 0, 1, 1, 2, 2, 7, 7, 7)
CLASSES = ("beagle", "car", "cat", "dog", "ghost", "lamp", "pug", "water")
UNKNOWN = ("rust", "puppy")
DIRECTIONS = 6  # in which features vary
LEAST = 1e-6  # of a probability that shall still be right


def tree() -> WordTree:
    return WordTree(WNIDS, PARENTS)


def flat_logits(rows: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, len(CLASSES), generator=torch.Generator().manual_seed(seed)) * 2


def summed(flat: Tensor) -> Tensor:
    """The probability of each node: that of the classes at or beneath it."""
    probabilities = flat.softmax(1)
    result = torch.zeros(len(flat), len(WNIDS))
    for number, wnid in enumerate(CLASSES):
        if wnid in WNIDS:
            for node in tree().path(WNIDS.index(wnid)):
                result[:, node] += probabilities[:, number]
    return result


def test_group_softmaxes_are_the_summed_probabilities() -> None:
    flat = flat_logits(5)
    expected = summed(flat)
    conditionals = HierarchicalSoftmax(tree()).log_conditionals(TreeClassifier(tree(), CLASSES)(flat)).exp()

    for first, size in zip(tree().group_first, tree().group_size, strict=True):
        group = slice(int(first), int(first + size))
        within = expected[:, group] / expected[:, group].sum(1, keepdim=True)
        torch.testing.assert_close(conditionals[:, group], within, atol=LEAST, rtol=0)


def test_a_node_without_any_class_is_known_to_be_unknown() -> None:
    classifier = TreeClassifier(tree(), CLASSES)

    assert [wnid for wnid, known in zip(WNIDS, classifier.known.tolist(), strict=True) if not known] == list(UNKNOWN)
    assert (classifier(flat_logits(3))[:, ~classifier.known].exp() < LEAST).all()


def test_a_sure_classifier_stays_finite() -> None:
    flat = torch.full((1, len(CLASSES)), -1e4)
    flat[0, CLASSES.index("water")] = 1e4

    assert TreeClassifier(tree(), CLASSES)(flat).isfinite().all()


def test_float64_stays_float64() -> None:
    flat = flat_logits(2).double()
    found = TreeClassifier(tree(), CLASSES).double()(flat)

    assert found.dtype == torch.float64
    torch.testing.assert_close(found, TreeClassifier(tree(), CLASSES)(flat.float()).double(), rtol=1e-5, atol=1e-5)


def imagenet_like() -> ImageNetClassifier:
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(DIRECTIONS, HEAD_CHANNELS, generator=generator)
    rows = torch.randn(len(CLASSES), DIRECTIONS, generator=generator) @ directions * 0.05
    return ImageNetClassifier(EfficientNetLite0(), rows, torch.randn(len(CLASSES), generator=generator))


def features_like(count: int) -> Tensor:
    """Features in few directions, so that a log-sum-exp of logits is far from linear in them."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(DIRECTIONS, HEAD_CHANNELS, generator=generator)
    return torch.randn(count, DIRECTIONS, generator=generator) @ directions * 0.04


def truths() -> Truths:
    return Truths(
        boxes=torch.tensor([[0.125, 0.875, 0.2, 0.2], [0.5, 0.5, 1.0, 1.0]]),  # the cell at the bottom left, and all
        nodes=torch.tensor([3, 4]),
        picture=torch.tensor([1, 0]),
        negative_weight=torch.tensor([0.0, 1.0]),
        class_only_pictures=torch.tensor([1]),
        class_only_nodes=torch.tensor([2]),
    )


def test_an_objects_features_are_the_mean_over_the_inner_part_of_its_box() -> None:
    features = torch.randn(2, 3, 4, 4)
    found = object_features(integral_image(features), truths())

    # of 4 x 4 cells a whole picture's inner 70 % holds the centres of the middle 2 x 2
    middle = features[:, :, 1:3, 1:3].mean((2, 3))
    torch.testing.assert_close(found, torch.stack((features[1, :, 3, 0], middle[0], middle[1])))


def test_the_teacher_is_the_classifier_asked_about_each_object() -> None:
    classifier, tree_classifier = imagenet_like(), TreeClassifier(tree(), CLASSES)
    integral = integral_image(torch.rand(2, HEAD_CHANNELS, 4, 4)).requires_grad_()
    found = ImageNetTeacher(classifier, tree_classifier)(integral, truths())

    flat = object_features(integral, truths()) @ classifier.rows.t() + classifier.biases
    torch.testing.assert_close(found, tree_classifier(flat))
    assert not found.requires_grad


def test_the_teacher_is_not_trained() -> None:
    teacher = ImageNetTeacher(imagenet_like(), TreeClassifier(tree(), CLASSES))

    assert not list(teacher.parameters())


class Start(NamedTuple):
    """A detector whose class rows were started, from what, and the divergences that were reported."""

    rows: nn.Linear
    classifier: ImageNetClassifier
    features: Tensor
    before: float
    after: float


def start(nodes: WordTree, count: int = 1000, steps: int = 60) -> Start:
    classifier, features = imagenet_like(), features_like(count)
    detector = YOLOv2Lite(torch.tensor([[1.0, 1.0]]), len(nodes), classifier.backbone)
    softmax, tree_classifier = HierarchicalSoftmax(nodes), TreeClassifier(nodes, CLASSES)
    before, after = initial_rows(
        detector, classifier, softmax, tree_classifier, CLASSES, nodes, features, steps=steps, batch=200
    )
    return Start(detector.rows, classifier, features, before, after)


def test_first_rows_agree_with_the_classifier_ever_more() -> None:
    known = tree().subset([node for node, wnid in enumerate(WNIDS) if wnid not in UNKNOWN])
    first, last = start(known, steps=1), start(known, steps=60)
    softmax, teacher = HierarchicalSoftmax(known), TreeClassifier(known, CLASSES)
    flat = last.features @ last.classifier.rows.t() + last.classifier.biases

    def divergence(logits: Tensor) -> float:
        whole_tree = torch.full((len(logits),), NO_NODE)
        return softmax.distillation_loss(logits, teacher(flat), whole_tree).mean().item()

    untrained = divergence(torch.zeros(len(flat), len(known)))
    regressed, distilled = (divergence(rows(last.features)) for rows in (first.rows, last.rows))
    assert distilled < 0.95 * regressed < 0.2 * untrained
    assert last.before == first.before
    # what is reported is of samples of the features
    assert [last.before, last.after] == pytest.approx([regressed, distilled], rel=0.2)


@pytest.fixture(scope="module")
def started() -> Start:
    """With nodes that the classifier knows nothing of."""
    return start(tree())


def test_first_rows_of_leaves_are_the_classifiers_and_unknown_nodes_have_none(started: Start) -> None:
    weight, bias = started.rows.weight, started.rows.bias

    for number, wnid in enumerate(CLASSES):
        if wnid in WNIDS and wnid != "dog":  # a class with kinds beneath it is an inner node
            torch.testing.assert_close(weight[WNIDS.index(wnid)], started.classifier.rows[number], rtol=0, atol=0)
            torch.testing.assert_close(bias[WNIDS.index(wnid)], started.classifier.biases[number], rtol=0, atol=0)
    assert [wnid for wnid, row in zip(WNIDS, weight, strict=True) if not row.any()] == list(UNKNOWN)


@pytest.mark.parametrize(("unknown", "siblings"), [("rust", ["water"]), ("puppy", ["beagle", "pug"])])
def test_first_rows_find_unknown_nodes_less_likely_than_their_siblings(
    started: Start, unknown: str, siblings: list[str]
) -> None:
    flat = started.features @ started.classifier.rows.t() + started.classifier.biases
    target = flat.logsumexp(1, keepdim=True) + TreeClassifier(tree(), CLASSES)(flat)

    expected = target[:, [WNIDS.index(sibling) for sibling in siblings]].mean() - 2
    torch.testing.assert_close(started.rows.bias[WNIDS.index(unknown)], expected)


def test_few_steps_have_a_mean_of_their_own() -> None:
    started = start(tree(), count=100, steps=1)

    assert started.after == started.before

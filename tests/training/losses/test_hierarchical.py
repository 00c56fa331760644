"""The tree softmax and its losses, against plain Python and against what they are meant to be."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.tree_files import packaged_tree
from tests.model.answers.reference_walk import absolute_probabilities, path_to, siblings, softmax
from tests.model.forests import forests
from tests.training.losses.problems import softmax_of, tree_of
from tests.training.losses.reference_region_loss import distillation
from training.losses.hierarchical import HierarchicalSoftmax
from training.targets import NO_NODE

ROWS = 4
# living thing (animal (dog (beagle, pug), cat), plant), vehicle (bicycle, car); dog is 6
PARENTS = [-1, -1, 0, 0, 1, 1, 2, 2, 6, 6]
ANIMAL, PLANT, DOG, BEAGLE, PUG = 2, 3, 6, 8, 9
seeds = st.integers(0, 2**32)


def logits_of(parents: list[int], seed: int, rows: int = ROWS, deviation: float = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, len(parents), generator=generator, dtype=torch.float64) * deviation


def labels_of(parents: list[int], seed: int) -> Tensor:
    return torch.randint(len(parents), (ROWS,), generator=torch.Generator().manual_seed(seed))


def column(values: list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@settings(deadline=None, max_examples=50)
@given(forests(), seeds)
def test_conditionals_are_a_softmax_in_each_sibling_group(parents: list[int], seed: int) -> None:
    logits = logits_of(parents, seed)
    conditionals = softmax_of(parents).log_conditionals(logits).exp()

    for parent in {*parents}:
        group = siblings(parents, parent)
        torch.testing.assert_close(conditionals[:, group].sum(1), torch.ones(ROWS, dtype=torch.float64))
        torch.testing.assert_close(conditionals[:, group], column([softmax(row) for row in logits[:, group].tolist()]))


@settings(deadline=None, max_examples=50)
@given(forests(), seeds)
def test_absolutes_are_the_products_from_the_root(parents: list[int], seed: int) -> None:
    logits, nodes, tree = logits_of(parents, seed), labels_of(parents, seed), softmax_of(parents)
    conditionals = tree.log_conditionals(logits)
    expected = column([absolute_probabilities(parents, row) for row in logits.tolist()]).log()

    torch.testing.assert_close(tree.log_absolutes(conditionals), expected)
    torch.testing.assert_close(tree.path_log_probability(conditionals, nodes), expected[torch.arange(ROWS), nodes])


@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_no_logit_is_too_large(logit: float) -> None:
    logits = torch.zeros(1, len(PARENTS))
    logits[0, DOG] = logit
    logits.requires_grad_()
    loss = softmax_of(PARENTS).path_loss(logits, torch.tensor([DOG]))
    (gradient,) = torch.autograd.grad(loss, logits)

    assert loss.item() == pytest.approx(2 * math.log(2) + max(-logit, 0))
    assert gradient.isfinite().all()


@settings(deadline=None, max_examples=50)
@given(forests(), seeds)
def test_path_loss_is_cross_entropy_in_the_groups_on_the_path_alone(parents: list[int], seed: int) -> None:
    logits, nodes = logits_of(parents, seed).requires_grad_(), labels_of(parents, seed)
    losses = softmax_of(parents).path_loss(logits, nodes)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)

    for row, label in enumerate(nodes.tolist()):
        path = path_to(parents, label)
        expected, untouched = 0.0, {*range(len(parents))}
        for step in path:
            group = siblings(parents, parents[step])
            untouched -= {*group}
            probabilities = softmax(logits[row, group].tolist())
            expected -= math.log(probabilities[group.index(step)])
            wanted = column([[p - (node == step) for node, p in zip(group, probabilities, strict=True)]])[0]
            torch.testing.assert_close(gradient[row, group], wanted)
        assert losses[row].item() == pytest.approx(expected)
        assert not gradient[row, sorted(untouched)].any()
        assert untouched >= {node for node in range(len(parents)) if label in path_to(parents, node)[:-1]}


@settings(deadline=None, max_examples=50)
@given(forests())
def test_beneath_are_the_strict_descendants(parents: list[int]) -> None:
    mask = softmax_of(parents).beneath(torch.arange(len(parents)))
    expected = [
        [node != label and label in path_to(parents, node) for node in range(len(parents))]
        for label in range(len(parents))
    ]

    assert mask.tolist() == expected


@settings(deadline=None, max_examples=50)
@given(forests(), seeds)
def test_distillation_agrees_with_the_slow_one(parents: list[int], seed: int) -> None:
    student, teacher = logits_of(parents, seed).requires_grad_(), logits_of(parents, seed + 1).requires_grad_()
    nodes = labels_of(parents, seed)
    losses = softmax_of(parents).distillation_loss(student, teacher, nodes)

    for row, label in enumerate(nodes.tolist()):
        value, slopes = distillation(parents, student[row].tolist(), teacher[row].tolist(), label)
        (gradient,) = torch.autograd.grad(losses[row], student, retain_graph=True)
        torch.testing.assert_close(losses[row], column([[value]])[0, 0], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(gradient[row], column([slopes])[0], rtol=1e-9, atol=1e-9)
    assert torch.autograd.grad(losses.sum(), teacher, allow_unused=True)[0] is None


@settings(deadline=None, max_examples=50)
@given(forests(), seeds)
def test_on_the_whole_tree_distillation_is_the_divergence_of_the_leaves(parents: list[int], seed: int) -> None:
    student, teacher = logits_of(parents, seed), logits_of(parents, seed + 1)
    losses = softmax_of(parents).distillation_loss(student, teacher, torch.full((ROWS,), NO_NODE))

    leaves = [node for node in range(len(parents)) if node not in parents]
    for row in range(ROWS):
        target, given_back = (absolute_probabilities(parents, logits[row].tolist()) for logits in (teacher, student))
        divergence = sum(target[leaf] * math.log(target[leaf] / given_back[leaf]) for leaf in leaves)
        assert losses[row].item() == pytest.approx(divergence, abs=1e-9)


def test_a_teacher_that_sees_the_label_is_matched_by_itself() -> None:
    teacher = logits_of(PARENTS, 0)
    teacher[:, [0, ANIMAL]] = 50  # almost surely an animal
    student = (teacher + torch.randn(ROWS, 1)).requires_grad_()  # a constant changes no softmax
    nodes = torch.tensor([ANIMAL, ANIMAL, NO_NODE, BEAGLE])
    losses = softmax_of(PARENTS).distillation_loss(student, teacher, nodes)
    (gradient,) = torch.autograd.grad(losses.sum(), student)

    torch.testing.assert_close(losses, torch.zeros_like(losses))
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


def test_a_teacher_that_does_not_see_the_label_teaches_that_all_kinds_are_as_likely() -> None:
    teacher = logits_of(PARENTS, 0)
    teacher[:, ANIMAL] = -50  # anything but an animal
    tree, nodes = softmax_of(PARENTS), torch.full((ROWS,), ANIMAL)
    even = torch.zeros(ROWS, len(PARENTS), dtype=torch.float64)
    losses = tree.distillation_loss(even, teacher, nodes)
    more_dogs = even.clone()
    more_dogs[:, DOG] = 1

    torch.testing.assert_close(losses, torch.zeros_like(losses))
    cross = math.log((1 + math.e) / 2) - 1 / 2  # KL of (1/2, 1/2) to the softmax of (1, 0)
    torch.testing.assert_close(tree.distillation_loss(more_dogs, teacher, nodes), torch.full_like(losses, cross))


def test_in_between_the_target_is_the_teachers_and_the_even_one_mixed() -> None:
    third = [0.0, math.log(2)]  # sibling group of probabilities 1/3 and 2/3
    teacher = column([[0.0, 0.0, *third, 0.0, 0.0, *third, *third]])
    # P(animal) = 1/2 * 1/3 = 1/6; given animal: dog 1/3, cat 2/3, and of the dogs 1/3 beagles
    dog, beagle = 1 / 6 * 1 / 3 + 5 / 6 * 1 / 2, 1 / 6 * 1 / 9 + 5 / 6 * 1 / 4
    target = torch.zeros(1, len(PARENTS), dtype=torch.float64)
    target[0, DOG] = math.log(dog / (1 - dog))
    target[0, BEAGLE] = math.log(beagle / (dog - beagle))
    loss = softmax_of(PARENTS).distillation_loss(target, teacher, torch.tensor([ANIMAL]))

    torch.testing.assert_close(loss, torch.zeros_like(loss))


@settings(deadline=None, max_examples=30)
@given(forests(), seeds)
def test_distillation_is_never_negative_and_leaves_all_but_the_descendants_alone(parents: list[int], seed: int) -> None:
    student, teacher = logits_of(parents, seed).requires_grad_(), logits_of(parents, seed + 1)
    tree, nodes = softmax_of(parents), labels_of(parents, seed)
    losses = tree.distillation_loss(student, teacher, nodes)
    (gradient,) = torch.autograd.grad(losses.sum(), student)

    assert (losses > -1e-12).all()
    assert not gradient[~tree.beneath(nodes)].any()


def test_gradients_are_those_of_the_values() -> None:
    tree, teacher = softmax_of(PARENTS), logits_of(PARENTS, 1)
    logits, nodes = logits_of(PARENTS, 0).requires_grad_(), torch.tensor([DOG, PUG, PLANT, 0])

    def both(x: Tensor) -> Tensor:
        return tree.path_loss(x, nodes) + tree.distillation_loss(x, teacher, nodes)

    assert torch.autograd.gradcheck(both, logits)


def test_no_rows_have_no_loss_and_still_a_gradient() -> None:
    tree, logits, nodes = softmax_of(PARENTS), torch.zeros(0, len(PARENTS)).requires_grad_(), torch.zeros(0).long()
    losses = tree.path_loss(logits, nodes) + tree.distillation_loss(logits, logits, nodes)

    assert losses.shape == (0,)
    assert torch.autograd.grad(losses.sum(), logits)[0].shape == logits.shape


@pytest.mark.parametrize(
    ("given_dtype", "expected"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_it_computes_in_float32_at_least(given_dtype: torch.dtype, expected: torch.dtype) -> None:
    tree, nodes = softmax_of(PARENTS), labels_of(PARENTS, 0)
    logits = logits_of(PARENTS, 0).to(given_dtype)
    precise = logits.double()

    for loss in (tree.path_loss, lambda x, at: tree.distillation_loss(x, x.flip(0), at)):
        assert loss(logits, nodes).dtype == expected
        torch.testing.assert_close(loss(logits, nodes).double(), loss(precise, nodes), rtol=1e-5, atol=1e-6)


def test_it_has_nothing_to_save_and_survives_a_copy() -> None:
    tree = softmax_of(PARENTS)
    logits, nodes = logits_of(PARENTS, 0), labels_of(PARENTS, 0)

    assert not tree.state_dict()
    assert not list(tree.parameters())
    torch.testing.assert_close(copy.deepcopy(tree).path_loss(logits, nodes), tree.path_loss(logits, nodes))


def test_the_whole_wordtree_in_float32() -> None:
    wordtree = packaged_tree()
    tree = HierarchicalSoftmax(wordtree)
    logits = torch.randn(3, len(wordtree), generator=torch.Generator().manual_seed(0)) * 3
    nodes = torch.tensor([0, 5000, len(wordtree) - 1])
    absolutes = tree.log_absolutes(tree.log_conditionals(logits))

    torch.testing.assert_close(absolutes.exp()[:, wordtree.leaves.tolist()].sum(1), torch.ones(3))
    torch.testing.assert_close(
        tree.path_loss(logits, nodes).double(), tree.path_loss(logits.double(), nodes), rtol=1e-6, atol=1e-5
    )
    divergence = tree.distillation_loss(logits, logits.flip(0), nodes)
    precise = tree.distillation_loss(logits.double(), logits.double().flip(0), nodes)
    torch.testing.assert_close(divergence.double(), precise, rtol=1e-5, atol=1e-5)


def test_a_forest_of_one_node_has_nothing_to_choose() -> None:
    tree = HierarchicalSoftmax(tree_of([-1]))
    logits, nodes = torch.tensor([[3.0]]), torch.tensor([0])

    assert tree.path_loss(logits, nodes).item() == 0
    assert tree.distillation_loss(logits, logits, nodes).item() == 0

"""NanoDet-g, beside its graph written plainly."""

import pytest
import torch
from torch import nn

from tests.training.networks.published_nanodet import made_up_weights, published_answers
from training.networks.backbones.nanodet import (
    Head,
    Neck,
    Trunk,
    expected_distances,
    load_nanodet,
    shares,
    sharpness,
)


def heads() -> nn.ModuleList:
    return nn.ModuleList(Head() for _ in range(3))


@pytest.mark.parametrize("separator", [".", "_"])
def test_it_computes_what_the_published_graph_does(separator: str) -> None:
    weights, trunk, neck, three = made_up_weights(), Trunk().eval(), Neck().eval(), heads()
    named = {
        f"{name.rpartition('.')[0].replace('.', separator)}.{name.rpartition('.')[2]}": weights[name]
        for name in weights
    }
    load_nanodet(trunk, neck, three, named)
    pictures = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1)) * 255
    with torch.no_grad():
        found = [head(x) for head, x in zip(three, neck(*trunk(pictures)), strict=True)]
        expected = published_answers(weights, pictures)
    assert [each.kinds.shape for each in found] == [(2, 12, 12, 80), (2, 6, 6, 80), (2, 3, 3, 80)]
    for ours, theirs in zip(found, expected, strict=True):
        assert theirs.std() > 0.01
        together = torch.cat((ours.kinds, ours.sides, ours.objectness), -1).permute(0, 3, 1, 2)
        torch.testing.assert_close(together, theirs, rtol=1e-4, atol=1e-4)


def test_its_parameters_are_as_many_as_published() -> None:
    """3.30 million, 0.44 in the convolutions before the outputs, and 0.05 in these."""
    three = sum(value.numel() for name, value in Neck().named_parameters() if name.startswith("head"))
    both = sum(value.numel() for module in (Trunk(), Neck()) for value in module.parameters())
    assert round(three / 1e6, 2) == 0.44
    assert round((both - three) / 1e6, 2) == 3.30


@pytest.mark.parametrize("name", ["stage8.first.weight", "lateral16.bias", "output16.weight", "obj.1.bias"])
def test_other_weights_are_refused(name: str) -> None:
    weights = made_up_weights()
    weights[name] = torch.zeros(3)
    with pytest.raises(ValueError, match="not NanoDet-g's: they have no "):
        load_nanodet(Trunk(), Neck(), heads(), weights)


def test_published_objectness_takes_nothing_from_the_kinds() -> None:
    three = [Head() for _ in range(3)]
    for head in three:
        head.start_from_kinds()
    load_nanodet(Trunk(), Neck(), nn.ModuleList(three), made_up_weights())
    assert [head.objectness.weight[0, -1, 0, 0].item() for head in three] == [0, 0, 0]


def test_without_objectness_it_is_the_largest_score_of_a_kind() -> None:
    weights, three = made_up_weights(), [Head() for _ in range(3)]
    hidden = [head.hidden.weight.clone() for head in three]
    published = {name: value for name, value in weights.items() if not name.startswith(("hid", "obj"))}
    load_nanodet(Trunk(), Neck(), nn.ModuleList(three), published)
    assert torch.equal(three[1].output.weight, weights["output16.weight"])
    assert all(torch.equal(head.hidden.weight, before) for head, before in zip(three, hidden, strict=True))
    found = three[1](torch.rand(2, 128, 4, 4, generator=torch.Generator().manual_seed(2)))
    assert found.kinds.std() > 0.01
    assert torch.equal(found.objectness[..., 0], found.kinds.amax(-1))


def test_what_objectness_learns_corrects_the_largest_score_and_leaves_the_kinds_alone() -> None:
    head = Head()
    head.start_from_kinds()
    head(torch.rand(1, 128, 2, 2)).objectness.sum().backward()
    assert head.objectness.weight.grad is not None
    assert (head.objectness.weight.grad != 0).all()
    assert head.output.weight.grad is None


def test_distances_are_expectations() -> None:
    sides = torch.full((1, 44), -50.0)
    sides[0, [0, 11 + 10, 22 + 3, 22 + 4, 33 + 7]] = 0
    expected = torch.tensor([[0.0, 10.0, 3.5, 7.0]])
    torch.testing.assert_close(expected_distances(sides), expected, atol=1e-4, rtol=0)


def test_sharpness_is_of_each_side_the_greatest_probabilities_and_their_mean() -> None:
    sides = torch.zeros(1, 44)
    sides[0, 11 + 3] = 50  # the second side is surely 3 cells away, the others may be anywhere
    anywhere = [1 / 11] * 5
    found = sharpness(sides)[0]
    assert found.tolist() == pytest.approx([*anywhere, 1, 0, 0, 0, 0.25, *anywhere, *anywhere])


def test_shares_are_parts_of_the_sum_of_the_scores() -> None:
    kinds = torch.full((80,), -20.0)
    kinds[3], kinds[5] = 0.0, 20.0
    found = shares(kinds)
    assert float(found.sum()) == pytest.approx(1)
    assert float(found[5] / found[3]) == pytest.approx(2**3, rel=1e-4)  # scores of 1 and .5

"""A box's quality: at first nothing, then a part of the answer; a threshold on the answer is one on objectness."""

import pytest
import torch
from torch import Tensor

from training.networks.parts.box_quality import FURTHER, BoxQuality, seen_of_boxes

INPUTS = 4


def made(power: float = 0.5, scale: float = 1.5, shift: float = 0.7) -> BoxQuality:
    quality = BoxQuality(INPUTS)
    for buffer, value in ((quality.power, power), (quality.scale, scale), (quality.shift, shift)):
        buffer.fill_(value)
    return quality


def logits(count: int = 1000) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 4 * torch.randn(count, generator=generator), 3 * torch.randn(count, generator=generator)


def test_at_first_the_answer_is_objectness() -> None:
    objectness, quality = logits()
    torch.testing.assert_close(BoxQuality(INPUTS).answer(objectness, quality), objectness.sigmoid(), rtol=1e-4, atol=0)


def test_the_answer_is_made_of_both() -> None:
    objectness, quality = logits()
    o, q = objectness.sigmoid(), quality.sigmoid()
    score = o * (o * q) ** 0.5
    expected = (1.5 * torch.logit(score) + 0.7).sigmoid()
    torch.testing.assert_close(made().answer(objectness, quality), expected, rtol=1e-3, atol=1e-6)


def test_the_surest_and_the_least_sure_are_numbers() -> None:
    found = made().answer(torch.tensor([100.0, -100.0]), torch.tensor([100.0, -100.0]))
    assert found[0] > 0.999
    assert 0 <= found[1] < 1e-6


@pytest.mark.parametrize("threshold", [0.0, 0.005, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("shift", [-1.0, 0.7])
def test_no_box_without_the_least_objectness_reaches_a_threshold(threshold: float, shift: float) -> None:
    objectness, quality = logits(20_000)
    judge = made(shift=shift)
    least = judge.least_objectness(torch.tensor(threshold))
    reaching = judge.answer(objectness, quality) >= threshold
    assert (objectness.sigmoid()[reaching] >= least).all()
    # and the bound is tight: with the best quality, little more objectness is enough
    if 0 < threshold < 1:
        best = judge.answer(torch.logit(least + 1e-3), torch.tensor(30.0))
        assert best >= threshold


def test_what_is_seen() -> None:
    boxes = torch.tensor([[0.5, 0.25, 0.1, 0.0]])
    seen = seen_of_boxes(torch.ones(1, 3), torch.zeros(1, 1), boxes, torch.tensor([2.0]), torch.full((1, 20), 3.0))
    assert seen.shape == (1, INPUTS + FURTHER)
    assert seen.isfinite().all()
    assert seen[0, :7].tolist() == [1, 1, 1, 0, 2, 0.5, 0.25]
    assert seen[0, 7].item() == pytest.approx(-2.302585)
    assert seen[0, -20:].tolist() == [3] * 20

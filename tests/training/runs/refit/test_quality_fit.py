"""A detector learns which of its boxes are whole objects, and how often an answer is right."""

import pytest
import torch

from training.data.box_examples import BoxExamples
from training.networks.parts.box_quality import BoxQuality, seen_of_boxes
from training.runs.refit.quality_fit import QualityFit, fit_quality

COUNT = 2000


def boxes(told: float = 1.0) -> BoxExamples:
    """Half of them whole objects, which the first feature tells; objectness tells nothing, and is the same of all."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.rand(COUNT, generator=generator) < 0.5
    overlap = torch.where(whole, 0.8, 0.1)
    features = torch.randn(COUNT, 3, generator=generator)
    features[:, 0] += told * (2 * whole.float() - 1) * 3
    objectness = torch.zeros(COUNT)
    middle = torch.full((COUNT, 4), 0.5)
    seen = seen_of_boxes(features, torch.zeros(COUNT, 1), middle, objectness, torch.zeros(COUNT, 20)).half()
    return BoxExamples(seen, objectness, overlap, torch.ones(COUNT, dtype=torch.bool), (~whole).long())


def answers(quality: BoxQuality, examples: BoxExamples) -> torch.Tensor:
    with torch.no_grad():
        return quality.answer(examples.objectness, quality(examples.seen.float()))


def test_parts_are_told_from_wholes_and_answers_are_probabilities() -> None:
    quality, examples = BoxQuality(4), boxes()
    loss = fit_quality(
        quality, examples, [1, 1], QualityFit(quality_passes=20, quality_batch=100, quality_dropout=0), 0
    )
    assert loss < 0.1
    found, whole = answers(quality, examples), examples.overlap > 0.5
    assert found[whole].quantile(0.1) > 0.9
    assert found[~whole].quantile(0.9) < 0.1
    assert found.mean().item() == pytest.approx(0.5, abs=0.03)


def test_what_nothing_tells_is_as_sure_as_it_is_frequent() -> None:
    """Wholes are one set and parts another, which counts three times as much: one in four is right."""
    quality, examples = BoxQuality(4), boxes(told=0)
    fit_quality(quality, examples, [1, 3], QualityFit(quality_passes=2, quality_dropout=0.5), 0)
    assert answers(quality, examples).mean().item() == pytest.approx(0.25, abs=0.06)


def test_the_same_seed_gives_the_same_judgement() -> None:
    made = []
    for seed in (1, 1, 2):
        quality = BoxQuality(4)
        fit_quality(quality, boxes(), [1, 1], QualityFit(quality_passes=1), seed)
        made.append(answers(quality, boxes()))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_doubt_is_taken_from_every_answers_logit() -> None:
    made = []
    for doubt in (0, 1.5):
        quality = BoxQuality(4)
        fit_quality(quality, boxes(), [1, 1], QualityFit(quality_passes=1, quality_doubt=doubt), 0)
        made.append(quality)
    assert (made[0].shift - made[1].shift).item() == pytest.approx(1.5)
    assert made[0].scale == made[1].scale


def test_few_answers_are_no_proof() -> None:
    """Of 20 that are all wrong, the next is right once in 22."""
    examples = boxes()
    wrong = BoxExamples(*(part[examples.overlap < 0.5][:20] for part in examples))
    quality = BoxQuality(4)
    fit_quality(quality, wrong, [1, 1], QualityFit(quality_passes=1), 0)
    assert answers(quality, wrong).mean().item() == pytest.approx(1 / 22, rel=0.05)
    assert quality.scale >= 0.1


def test_without_an_answer_the_scale_stays() -> None:
    examples = boxes()
    quality = BoxQuality(4)
    fit_quality(quality, examples._replace(answer=torch.zeros(COUNT, dtype=torch.bool)), [1, 1], QualityFit(), 0)
    assert (quality.scale.item(), quality.shift.item()) == (1, 0)

"""Whom to believe about a box, and how sure each opinion is."""

import math

import pytest
import torch

from training.networks.parts.class_mixture import LEAST, SURENESS, ClassMixture, sureness


def test_how_sure_an_opinion_is() -> None:
    undecided, sure = torch.full((1, 4), 0.25), torch.tensor([[1.0, 0, 0, 0]])
    found = sureness(undecided, sure)
    assert found.shape == (1, SURENESS)
    expected = [math.log(0.25), math.log(0.75), math.log(4), 0, math.log(LEAST), 0]
    assert found[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_it_is_finite_whatever_the_opinion() -> None:
    nearly = torch.tensor([[1 - 1e-8, 1e-8], [0.5, 0.5], [0.0, 1.0]])
    assert torch.isfinite(sureness(nearly, nearly)).all()


def test_shares_sum_to_one_and_begin_even() -> None:
    shares = ClassMixture(5 + SURENESS)(torch.randn(7, 5 + SURENESS))
    torch.testing.assert_close(shares, torch.full((7, 3), 1 / 3))


def test_the_classifier_can_be_given_all() -> None:
    mixture = ClassMixture(5 + SURENESS)
    mixture.believe_the_classifier()
    torch.testing.assert_close(mixture(torch.randn(7, 5 + SURENESS))[:, 0], torch.ones(7), atol=1e-4, rtol=0)


def test_what_a_box_shows_may_be_left_out_and_sureness_never_is() -> None:
    mixture = ClassMixture(5 + SURENESS, dropout=1 - 1e-9).train()
    seen = torch.randn(3, 5 + SURENESS)
    reached: list[torch.Tensor] = []
    mixture.hidden.register_forward_pre_hook(lambda _, inputs: reached.append(inputs[0]))
    mixture(seen)
    assert (reached[0][:, :5] == 0).all()
    torch.testing.assert_close(reached[0][:, 5:], seen[:, 5:])

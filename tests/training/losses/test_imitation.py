"""The loss of a network that agrees with a teacher, cell by cell."""

import math

import pytest
import torch
from torch import Tensor

from training.losses.imitation import LEAST_SCORE, OVERLAP_WEIGHT, SIDES_WEIGHT, Learner, imitation_loss
from training.losses.teacher import Opinion
from training.networks.backbones.nanodet import DISTANCES, SIDES

KINDS, CELLS = 3, 4


def opinion(score: float = 0.5, box: tuple[float, ...] = (0.375, 0.375, 0.5, 0.25)) -> Opinion:
    """Of two pictures: in the first, of one cell, the second of the second row, that there is the last kind."""
    boxes, scores = torch.zeros(2, CELLS, CELLS, 4), torch.zeros(2, CELLS, CELLS, KINDS)
    boxes[0, 1, 1], scores[0, 1, 1, -1] = torch.tensor(box), score
    return Opinion(boxes, scores)


def learner(**changes: Tensor) -> Learner:
    """One that is sure of nothing: no kinds, and sides anywhere."""
    cells = (2, CELLS, CELLS)
    values = {
        "boxes": torch.full((*cells, 4), 0.5),
        "kinds": torch.full((*cells, KINDS), -20.0),
        "sides": torch.zeros(*cells, SIDES * DISTANCES),
    }
    return Learner(**{**values, **changes})


def test_kinds_learn_the_teachers_scores() -> None:
    given = opinion()
    kinds = torch.zeros(2, CELLS, CELLS, KINDS, requires_grad=True)
    taught = imitation_loss([learner(kinds=kinds)], [given]).taught_kinds

    # a sigmoid of .5 is right where the teacher says .5, and elsewhere the error is log 2, times the square of .5
    elsewhere = 2 * CELLS * CELLS * KINDS - 1
    assert taught.item() == pytest.approx(elsewhere * math.log(2) / 4 / 2)
    (slope,) = torch.autograd.grad(taught, kinds)
    assert slope[0, 1, 1, -1] == 0
    assert int((slope > 0).sum()) == elsewhere


def test_a_box_learns_to_be_the_teachers() -> None:
    taught = imitation_loss([learner()], [opinion(score=0.4)]).taught_boxes

    # a third of the union of both boxes is shared, and a tenth of the box around them is of neither
    apart = 1 - (1 / 3 - 1 / 10)
    every_distance_is_as_likely = math.log(DISTANCES)
    expected = 0.4 * (OVERLAP_WEIGHT * apart + SIDES_WEIGHT * every_distance_is_as_likely) / 2
    assert taught.item() == pytest.approx(expected, rel=1e-5)


def test_a_side_between_two_distances_is_half_of_each() -> None:
    given = opinion(score=1)
    sides = torch.full((2, CELLS, CELLS, SIDES, DISTANCES), -20.0)
    # the cell's middle is at 1.5, 1.5; the box reaches from .5 to 2.5, and from 1 to 2
    for side, near in enumerate(((1,), (0, 1), (1,), (0, 1))):
        sides[0, 1, 1, side, list(near)] = 0
    taught = imitation_loss([learner(boxes=given.boxes, sides=sides.flatten(-2))], [given]).taught_boxes

    assert taught.item() == pytest.approx(SIDES_WEIGHT * (2 * math.log(2)) / 4 / 2, abs=1e-4)


def test_a_side_that_is_too_far_is_as_far_as_it_can_be() -> None:
    sides = torch.full((2, CELLS, CELLS, SIDES, DISTANCES), -20.0)
    sides[0, 1, 1, :, -1] = 0
    given = opinion(score=1, box=(0.375, 0.375, 9, 9))
    near, far = (
        imitation_loss([learner(boxes=given.boxes, sides=logits.flatten(-2))], [given]).taught_boxes
        for logits in (sides.flip(-1), sides)
    )
    assert far < 0.1 < 1 < near
    assert math.isfinite(near)


def test_its_weight_is_that_of_both_parts_and_grids_are_added() -> None:
    one, given = learner(), opinion()
    once, twice = imitation_loss([one], [given]), imitation_loss([one, one], [given, given], scale=3)
    for before, after in zip(once, twice, strict=True):
        torch.testing.assert_close(after, 6 * before)
    torch.testing.assert_close(twice.total(), twice.taught_kinds + twice.taught_boxes)


@pytest.mark.parametrize("score", [LEAST_SCORE, 0.0])
def test_a_doubtful_box_teaches_nothing(score: float) -> None:
    assert imitation_loss([learner()], [opinion(score=score)]).taught_boxes == 0

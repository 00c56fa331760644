"""The loss of a network that agrees with a teacher about the objects in a picture."""

import math

import pytest
import torch
from torch import Tensor

from training.losses.imitation import (
    ANSWERING,
    OVERLAP_WEIGHT,
    SIDES_WEIGHT,
    Agreement,
    Learner,
    agree,
    imitation_loss,
)
from training.losses.teacher import Opinion
from training.networks.backbones.nanodet import DISTANCES, SIDES

KINDS, ROW = 3, 4
CELLS = ROW * ROW
HORSE, COW = 0, 1
OBJECT = (0.375, 0.375, 0.5, 0.25)  # in cells, its middle is at 1.5, 1.5; it is two wide and one high
FIFTH = 5  # the second cell of the second row


def opinion(boxes: list[tuple[float, ...]], scores: list[list[float]]) -> Opinion:
    return Opinion(torch.tensor(boxes).view(-1, 4), torch.tensor(scores).view(-1, KINDS))


def learner(**changes: Tensor) -> Learner:
    """One that sees nothing in one picture: boxes of no size, no kinds, and sides anywhere."""
    row, column = torch.meshgrid(*[torch.arange(ROW) + 0.5] * 2, indexing="ij")
    values = {
        "boxes": torch.tensor([0.5, 0.5, 0.0, 0.0]).expand(1, CELLS, 4).clone(),
        "kinds": torch.full((1, CELLS, KINDS), -20.0),
        "sides": torch.zeros(1, CELLS, SIDES * DISTANCES),
        "cells": torch.stack((column, row, torch.full_like(row, ROW)), dim=-1).flatten(0, 1),
    }
    return Learner(**{**values, **changes})


def seeing(places: dict[int, tuple[tuple[float, ...], list[float]]]) -> Learner:
    """One that sees at some cells a box, and kinds by these probabilities."""
    found = learner()
    for cell, (box, kinds) in places.items():
        found.boxes[0, cell] = torch.tensor(box)
        found.kinds[0, cell] = torch.tensor(kinds).logit(1e-6)
    return found


def twice_as_many(one: Learner) -> Learner:
    """One that says of each of two pictures what it says of one."""
    return one._replace(**{part: getattr(one, part).repeat(2, 1, 1) for part in ("boxes", "kinds", "sides")})


def test_the_cells_that_answer_learn_the_teachers_scores() -> None:
    own = seeing({cell: (OBJECT, [0.1 * (cell + 1), 0, 0]) for cell in range(ANSWERING + 1)})
    found = agree(own, [opinion([OBJECT], [[0.7, 0.2, 0]])])

    surest = list(range(1, ANSWERING + 1))
    assert sorted(found.cell.tolist()) == surest
    assert not found.picture.any()
    torch.testing.assert_close(found.scores[0, surest], torch.tensor([[0.7, 0.2, 0]]).expand(ANSWERING, KINDS))
    torch.testing.assert_close(found.boxes, torch.tensor(OBJECT).expand(ANSWERING, 4))
    assert found.weight.tolist() == pytest.approx([0.7] * ANSWERING)
    # the cell that is less sure than they are stays as it is: it need not be surer
    torch.testing.assert_close(found.scores[0, 0], torch.tensor([0.1, 0, 0]), atol=1e-5, rtol=0)


def test_a_cell_that_overlaps_nothing_of_the_teachers_learns_that_there_is_nothing() -> None:
    elsewhere = (0.8, 0.8, 0.1, 0.1)
    own = seeing({FIFTH: (OBJECT, [0.5, 0, 0]), 9: (elsewhere, [0.9, 0, 0.3])})
    found = agree(own, [opinion([OBJECT], [[0.7, 0, 0]])])
    assert found.cell.tolist() == [FIFTH]
    assert not found.scores[0, 9].any()


def test_no_cell_need_be_surer_of_a_kind_than_the_teacher() -> None:
    own = seeing({cell: (OBJECT, [0.5 + cell / 100, 0.4, 0]) for cell in range(ANSWERING + 1)})
    found = agree(own, [opinion([OBJECT], [[0.3, 0.6, 0]])])
    # a cow for the teacher, which the other cells are of too, as far as they think so
    torch.testing.assert_close(found.scores[0, found.cell], torch.tensor([[0.3, 0.6, 0]]).expand(ANSWERING, KINDS))
    (left,) = set(range(ANSWERING + 1)) - set(found.cell.tolist())
    torch.testing.assert_close(found.scores[0, left], torch.tensor([0.3, 0.4, 0]))


def test_two_objects_at_one_place_have_a_cell_each_and_the_surest_score() -> None:
    own = seeing({3: (OBJECT, [0.5, 0, 0]), FIFTH: (OBJECT, [0, 0.5, 0])})
    found = agree(own, [opinion([OBJECT, OBJECT], [[0.8, 0, 0], [0, 0.6, 0]])])
    assert set(found.cell.tolist()) == {3, FIFTH}
    torch.testing.assert_close(found.scores[0, [3, FIFTH]], torch.tensor([[0.8, 0.6, 0]] * 2))


def test_nothing_is_learned_of_an_object_that_no_box_is_about() -> None:
    own = seeing({FIFTH: ((0.8, 0.8, 0.1, 0.1), [0.5, 0, 0])})
    found = agree(own, [opinion([OBJECT], [[0.7, 0, 0]])])
    assert not len(found.cell)
    assert not found.scores.any()
    assert imitation_loss(own, found).taught_boxes == 0


def test_a_teacher_may_find_nothing() -> None:
    own = seeing({FIFTH: (OBJECT, [0.5, 0, 0])})
    found = agree(own, [opinion([], [])])
    assert found.scores.shape == (1, CELLS, KINDS)
    assert not found.scores.any()
    parts = imitation_loss(own, found)
    assert parts.taught_boxes == 0
    assert parts.taught_kinds.item() == pytest.approx(0.5**2 * math.log(2), rel=1e-3)


def test_each_picture_has_its_own_opinion() -> None:
    one = seeing({FIFTH: (OBJECT, [0.5, 0, 0])})
    both = twice_as_many(one)
    found = agree(both, [opinion([], []), opinion([OBJECT], [[0.7, 0, 0]])])
    assert (found.picture.tolist(), found.cell.tolist()) == ([1], [FIFTH])
    assert found.scores[:, FIFTH, HORSE].tolist() == pytest.approx([0, 0.7])


def agreement(score: float, box: tuple[float, ...] = OBJECT) -> Agreement:
    """That one cell answers for one object."""
    scores = torch.zeros(1, CELLS, KINDS)
    scores[0, FIFTH, COW] = score
    return Agreement(scores, torch.tensor([0]), torch.tensor([FIFTH]), torch.tensor(box)[None], torch.tensor([score]))


def test_kinds_learn_scores() -> None:
    kinds = torch.zeros(1, CELLS, KINDS, requires_grad=True)
    taught = imitation_loss(learner(kinds=kinds), agreement(0.5)).taught_kinds

    # a sigmoid of .5 is right for the cow, and elsewhere the error is log 2, times the square of .5
    elsewhere = CELLS * KINDS - 1
    assert taught.item() == pytest.approx(elsewhere * math.log(2) / 4)
    (slope,) = torch.autograd.grad(taught, kinds)
    assert slope[0, FIFTH, COW] == 0
    assert int((slope > 0).sum()) == elsewhere


def test_a_box_learns_to_be_the_teachers() -> None:
    boxes = torch.full((1, CELLS, 4), 0.5)
    taught = imitation_loss(learner(boxes=boxes), agreement(0.4)).taught_boxes

    # a third of the union of both boxes is shared, and a tenth of the box around them is of neither
    apart = 1 - (1 / 3 - 1 / 10)
    every_distance_is_as_likely = math.log(DISTANCES)
    expected = 0.4 * (OVERLAP_WEIGHT * apart + SIDES_WEIGHT * every_distance_is_as_likely)
    assert taught.item() == pytest.approx(expected, rel=1e-5)


def test_a_side_between_two_distances_is_half_of_each() -> None:
    sides = torch.full((1, CELLS, SIDES, DISTANCES), -20.0)
    # the cell's middle is at 1.5, 1.5; the box reaches from .5 to 2.5, and from 1 to 2
    for side, near in enumerate(((1,), (0, 1), (1,), (0, 1))):
        sides[0, FIFTH, side, list(near)] = 0
    own = learner(boxes=torch.tensor(OBJECT).expand(1, CELLS, 4), sides=sides.flatten(-2))
    taught = imitation_loss(own, agreement(1)).taught_boxes

    assert taught.item() == pytest.approx(SIDES_WEIGHT * (2 * math.log(2)) / 4, abs=1e-4)


def test_a_side_that_is_too_far_is_as_far_as_it_can_be() -> None:
    sides = torch.full((1, CELLS, SIDES, DISTANCES), -20.0)
    sides[0, FIFTH, :, -1] = 0
    large = (0.375, 0.375, 9.0, 9.0)
    boxes = torch.tensor(large).expand(1, CELLS, 4)
    near, far = (
        imitation_loss(learner(boxes=boxes, sides=logits.flatten(-2)), agreement(1, large)).taught_boxes
        for logits in (sides.flip(-1), sides)
    )
    assert far < 0.1 < 1 < near
    assert math.isfinite(near)


def test_it_is_a_mean_over_pictures_and_weighed() -> None:
    one, single = learner(), agreement(0.5)
    two = twice_as_many(one)
    double = Agreement(
        single.scores.repeat(2, 1, 1),
        torch.tensor([0, 1]),
        single.cell.repeat(2),
        single.boxes.repeat(2, 1),
        single.weight.repeat(2),
    )
    once, twice = imitation_loss(one, single), imitation_loss(two, double, 3, 2)
    for before, after, weight in zip(once, twice, (3, 2), strict=True):
        torch.testing.assert_close(after, weight * before)
    torch.testing.assert_close(twice.total(), twice.taught_kinds + twice.taught_boxes)

"""Which box answers for which truth, against loops and against the torch-free box geometry."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.geometry import box_iou
from tests.training.losses.problems import (
    Outputs,
    Sizes,
    as_tensors,
    constants,
    make_problem,
    problems,
    softmax_of,
)
from tests.training.losses.reference_region_loss import (
    Problem,
    best_place,
    decode,
    iou,
    responsible_places,
)
from training.data import anchors
from training.iou import generalised_iou_of_pairs, iou_of_pairs, shape_iou
from training.losses import assignment as module
from training.losses.assignment import (
    Assignment,
    Grid,
    assign_anchors,
    assign_cells,
    best_iou,
    class_only_boxes,
)
from training.networks.parts.detector import BoxIndex, Location, Prediction, decode_boxes
from training.targets import Targets

ANCHORS = torch.tensor([[1.0, 1.0], [3.0, 1.5], [1.5, 3.0]])


def targets_of(boxes: list[tuple[float, float, float, float]], picture: list[int] | None = None) -> Targets:
    where = torch.tensor(picture or [0] * len(boxes), dtype=torch.int64)
    nothing = torch.zeros(0, dtype=torch.int64)
    labels, sure = torch.zeros_like(where), torch.ones(len(boxes))
    return Targets(torch.tensor(boxes).view(-1, 4), labels, where, sure, torch.ones(4), nothing, nothing)


def random_boxes(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.cat((torch.rand(count, 2, generator=generator), torch.rand(count, 2, generator=generator) + 0.01), 1)


@settings(deadline=None, max_examples=50)
@given(problems())
def test_assignments_agree_with_a_loop(problem: Problem) -> None:
    tensors = as_tensors(problem)
    least = problem.constants.further_anchor_iou
    grid = Grid(tensors.detector.anchors, problem.height, problem.width)
    (found,) = assign_anchors(tensors.targets, [grid], least)
    expected = responsible_places(problem)

    places = torch.stack(tuple(found.boxes), 1).tolist()
    assert dict(zip(map(tuple, places), found.truth.tolist(), strict=True)) == expected
    assert len(places) == len(expected)


@pytest.mark.parametrize(
    ("box", "anchor", "row", "column"),
    [
        ((0.5, 0.5, 0.2, 0.2), 0, 2, 3),
        ((0.99, 0.01, 0.5, 0.3), 1, 0, 5),
        ((1.0, 1.0, 0.25, 0.75), 2, 3, 5),  # a centre on the border belongs to the last cell
        ((0.0, 0.0, 0.01, 0.01), 0, 0, 0),
        ((-0.01, 1.01, 0.2, 0.2), 0, 3, 0),  # rounding may put one a little outside
    ],
)
def test_known_assignments(box: tuple[float, float, float, float], anchor: int, row: int, column: int) -> None:
    (found,) = assign_anchors(targets_of([box]), [Grid(ANCHORS, 4, 6)])

    assert [part.item() for part in found.boxes] == [0, anchor, row, column]


def test_of_two_truths_that_want_one_box_the_later_has_it() -> None:
    box, other = (0.5, 0.5, 0.2, 0.2), (0.1, 0.1, 0.2, 0.2)
    (found,) = assign_anchors(targets_of([box, other, box, box], [0, 0, 1, 0]), [Grid(ANCHORS, 4, 6)])

    assert sorted(found.truth.tolist()) == [1, 2, 3]
    assert len({*map(tuple, torch.stack(tuple(found.boxes), 1).tolist())}) == 3


def test_further_anchors_never_take_a_box_from_the_truth_it_fits_best() -> None:
    square, upright = (0.5, 0.5, 0.3, 0.45), (0.5, 0.5, 0.2, 0.7)  # in cells 1.8 x 1.8 and 1.2 x 2.8
    anchors = torch.tensor([[1.8, 1.8], [1.2, 2.8]])
    (both,) = assign_anchors(targets_of([upright, square]), [Grid(anchors, 4, 6)], further_iou=0.4)
    (alone,) = assign_anchors(targets_of([square]), [Grid(anchors, 4, 6)], further_iou=0.4)

    assert dict(zip(both.boxes.anchor.tolist(), both.truth.tolist(), strict=True)) == {0: 1, 1: 0}
    assert sorted(alone.boxes.anchor.tolist()) == [0, 1]
    assert alone.truth.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("box", "value"),
    [
        ((0.5, 0.5, 0.2, 0.2), 1.0),
        ((0.5, 0.5, 0.2, 0.1), 0.5),  # half of it, nothing around both uncovered
        ((0.7, 0.5, 0.2, 0.2), 0.0),  # side by side: no overlap, nothing uncovered
        ((0.9, 0.5, 0.2, 0.2), -1 / 3),  # a third of what is around both lies between them
    ],
)
def test_known_generalised_ious(box: tuple[float, float, float, float], value: float) -> None:
    square = torch.tensor([0.5, 0.5, 0.2, 0.2], dtype=torch.float64)
    found = generalised_iou_of_pairs(square, torch.tensor(box, dtype=torch.float64))

    assert found.item() == pytest.approx(value, abs=1e-12)


def test_no_truths_are_assigned_to_no_boxes() -> None:
    (found,) = assign_anchors(targets_of([]), [Grid(ANCHORS, 4, 6)])

    assert [part.shape for part in (found.truth, *found.boxes)] == [(0,)] * 5


def test_shape_iou_is_that_of_the_anchor_clustering() -> None:
    sizes = random_boxes(20, seed=0)[:, 2:].double()

    expected = anchors.shape_iou(sizes.numpy(), ANCHORS.numpy())
    np.testing.assert_allclose(shape_iou(sizes, ANCHORS.double()).numpy(), expected)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
def test_iou_is_that_of_the_services_geometry(seed: int) -> None:
    first, second = random_boxes(6, seed), random_boxes(5, seed + 1)
    corners = [torch.cat((b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2), 1).numpy() for b in (first, second)]

    found = iou_of_pairs(first[:, None], second)
    np.testing.assert_allclose(found.numpy(), box_iou(*corners), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0.5, 0.5, 0.2, 0.4), (0.5, 0.5, 0.2, 0.4), 1),
        ((0.5, 0.5, 0.2, 0.4), (0.6, 0.5, 0.2, 0.4), 1 / 3),
        ((0.2, 0.5, 0.2, 0.2), (0.7, 0.5, 0.2, 0.2), 0),
        ((0.5, 0.5, 0.2, 0.4), (0.5, 0.5, 0, 0), 0),
        ((0.5, 0.5, 0, 0), (0.5, 0.5, 0, 0), 0),
        ((0.5, 0.5, torch.inf, 1), (0.5, 0.5, 0.2, 0.4), 0),  # early in training exp(tw) may overflow
    ],
)
def test_known_overlaps(first: tuple[float, ...], second: tuple[float, ...], expected: float) -> None:
    assert iou_of_pairs(torch.tensor(first), torch.tensor(second)).item() == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(problems())
def test_best_overlaps_agree_with_a_loop(problem: Problem) -> None:
    tensors = as_tensors(problem)
    found = best_iou(decode_boxes(tensors.raw.detach(), tensors.detector.anchors), tensors.targets)

    for place in problem.raw:
        targets = [truth.box for truth in problem.boxed if truth.picture == place[0] and truth.box]
        expected = max((iou(decode(problem, place), truth) for truth in targets), default=0.0)
        assert found[place].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("candidates", [0, 1, 2, 5, 1000])
def test_the_best_box_of_a_label_agrees_with_a_loop(candidates: int) -> None:
    parents = [-1, -1, 0, 0, 1, 1]
    differ = False
    for seed in range(20):
        sizes = Sizes(pictures=3, anchors=2, height=2, width=3, boxed=0, labelled=2)
        problem = make_problem(parents, sizes, constants(class_only_candidates=candidates), seed)
        tensors = as_tensors(problem)
        ((rows, found),) = class_only_boxes(
            tensors.detector, [tensors.prediction], tensors.targets, softmax_of(parents), candidates
        )
        assert rows.tolist() == list(range(len(rows)))

        places = list(map(tuple, torch.stack(tuple(found), 1).tolist()))
        assert places == [best_place(problem, label) for label in problem.labelled]
        likeliest = [int(tensors.raw[label.picture, ..., 4].argmax()) for label in problem.labelled]
        differ |= likeliest != [(anchor * 2 + row) * 3 + column for _, anchor, row, column in places]
    assert differ is (candidates != 1)  # the class has a say, unless only the likeliest object is considered


class Counting(Outputs):
    """Notes how many boxes' class logits it is asked for."""

    def __init__(self, anchors: Tensor, classes: int) -> None:
        super().__init__(anchors, classes)
        self.asked: list[int] = []

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        self.asked.append(len(index.picture))
        return super().class_logits(features, index)


def test_only_the_candidates_class_logits_are_computed() -> None:
    parents = [-1, -1, 0, 0]
    problem = make_problem(parents, Sizes(3, 2, 4, 4, boxed=0, labelled=2), constants(), seed=0)
    tensors = as_tensors(problem)
    detector = Counting(tensors.detector.anchors, len(parents))
    prediction = Prediction(tensors.raw, (tensors.logits,))
    ((_, found),) = class_only_boxes(detector, [prediction], tensors.targets, softmax_of(parents), candidates=5)

    assert detector.asked == [2 * 5]
    assert [part.shape for part in found] == [(2,)] * 4


def test_rows_are_computed_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = [-1, -1, 0, 0]
    problem = make_problem(parents, Sizes(3, 2, 4, 4, boxed=0, labelled=3), constants(), seed=0)
    tensors = as_tensors(problem)
    detector = Counting(tensors.detector.anchors, len(parents))
    found = []
    for rows in (1024, 40):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", rows)
        ((_, boxes),) = class_only_boxes(detector, [tensors.prediction], tensors.targets, softmax_of(parents), 0)
        found.append(boxes)
    assert detector.asked == [96, 40, 40, 16]
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


class TestCells:
    """Which cells answer for a truth in networks whose boxes are distances from a cell's middle."""

    GRIDS = (Grid(torch.ones(1, 2), 8, 8), Grid(torch.ones(1, 2), 4, 4))

    def predictions(
        self, boxes: dict[tuple[int, int, int, int], list[float]], objectness: float = 0
    ) -> list[Prediction]:
        """Every box is tiny and lies at its cell's middle, but for those given by grid, picture, row and column."""
        found = []
        for number, grid in enumerate(self.GRIDS):
            raw = torch.full((2, 1, grid.height, grid.width, 5), objectness)
            raw[..., :4] = 0.01
            decoded = decode_boxes(raw, grid.anchors, Location.DISTANCES)
            for (of, picture, row, column), box in boxes.items():
                if of == number:
                    decoded[picture, 0, row, column] = torch.tensor(box)
            found.append(Prediction(raw, (decoded,)))
        return found

    def assigned(
        self, targets: Targets, predictions: list[Prediction], grids: tuple[Grid, ...]
    ) -> tuple[Assignment, ...]:
        objectness = [one.boxes[..., 4] for one in predictions]
        return assign_cells(targets, [one.features[-1] for one in predictions], objectness, grids)

    def cells(self, targets: Targets, predictions: list[Prediction]) -> list[tuple[int, int, int, int, int, float]]:
        """Grid, truth, picture, row, column and quality of each."""
        found = []
        for grid, one in enumerate(self.assigned(targets, predictions, self.GRIDS)):
            assert one.quality is not None
            columns = (one.truth, one.boxes.picture, one.boxes.row, one.boxes.column, one.quality)
            for truth, picture, row, column, quality in zip(*(column.tolist() for column in columns), strict=True):
                found.append((grid, truth, picture, row, column, quality))
        return found

    def test_the_cell_that_fits_best_has_the_best_iou_for_its_quality(self) -> None:
        truth = [0.5, 0.5, 0.5, 0.5]
        near = {(0, 1, 3, 3): [0.5, 0.5, 0.5, 0.4], (1, 1, 1, 2): [0.5, 0.5, 0.5, 0.3]}
        found = self.cells(targets_of([tuple(truth)], [1]), self.predictions(near))  # type: ignore[list-item]
        qualities = {(grid, row, column): quality for grid, _, _, row, column, quality in found}
        assert {picture for _, _, picture, *_ in found} == {1}
        assert len(found) == 6
        assert qualities[0, 3, 3] == pytest.approx(0.8)
        assert qualities[1, 1, 2] == pytest.approx(0.8 * (0.62 / 0.82) ** 4, rel=1e-3)
        assert max(set(qualities.values()) - {qualities[0, 3, 3], qualities[1, 1, 2]}) < 1e-3

    def test_cells_outside_an_object_do_not_answer_for_it(self) -> None:
        outside = {(0, 0, 0, 0): [0.5, 0.5, 0.25, 0.25]}
        found = self.cells(targets_of([(0.5, 0.5, 0.25, 0.25)]), self.predictions(outside))
        assert (0, 0) not in {(row, column) for grid, _, _, row, column, _ in found if grid == 0}

    def test_a_tiny_object_has_the_cells_about_its_middle(self) -> None:
        found = self.cells(targets_of([(0.5, 0.5, 0.01, 0.01)]), self.predictions({}))
        middle = {(0, row, column) for row in (3, 4) for column in (3, 4)}
        middle |= {(1, row, column) for row in (1, 2) for column in (1, 2)}
        assert len(found) == 6
        assert {(grid, row, column) for grid, _, _, row, column, _ in found} < middle

    def test_an_object_larger_than_a_distance_is_left_to_coarser_grids(self) -> None:
        grids = (Grid(torch.ones(1, 2), 40, 40), Grid(torch.ones(1, 2), 4, 4))
        predictions = []
        for grid in grids:
            raw = torch.zeros(1, 1, grid.height, grid.width, 5)
            predictions.append(Prediction(raw, (decode_boxes(raw, grid.anchors, Location.DISTANCES),)))
        fine, coarse = self.assigned(targets_of([(0.5, 0.5, 0.9, 0.3)]), predictions, grids)
        assert len(fine.truth) == 0
        assert len(coarse.truth) > 0

    def test_a_cell_has_one_truth_even_if_two_are_the_same(self) -> None:
        targets = targets_of([(0.5, 0.5, 0.25, 0.25)] * 2)
        found = self.cells(targets, self.predictions({(0, 0, 3, 3): [0.5, 0.5, 0.25, 0.25]}))
        places = [(grid, picture, row, column) for grid, _, picture, row, column, _ in found]
        assert len(set(places)) == len(places)

    def test_objectness_decides_between_cells_that_fit_alike(self) -> None:
        alike = {(0, 0, 3, 3): [0.5, 0.5, 0.3, 0.3], (0, 0, 4, 4): [0.5, 0.5, 0.3, 0.3]}
        predictions = self.predictions(alike, objectness=-3)
        predictions[0].boxes[0, 0, 4, 4, 4] = 3
        found = self.cells(targets_of([(0.5, 0.5, 0.3, 0.3)]), predictions)
        qualities = {(row, column): quality for grid, _, _, row, column, quality in found if grid == 0}
        assert qualities[4, 4] == pytest.approx(1)
        assert qualities[3, 3] < 0.5

    def test_without_truths_nothing_is_assigned(self) -> None:
        assert self.cells(targets_of([]), self.predictions({})) == []

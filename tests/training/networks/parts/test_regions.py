"""Means over boxes, against loops over cells."""

import math

import pytest
import torch
from torch import Tensor

from training.networks.parts.regions import integral_image, pool_regions

HEIGHT, WIDTH = 5, 7


def features_of(seed: int = 0) -> Tensor:
    return torch.randn(3, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pooled(features: Tensor, box: tuple[float, float, float, float], picture: int = 0) -> Tensor:
    boxes = torch.tensor([box], dtype=features.dtype)
    return pool_regions(integral_image(features), boxes, torch.tensor([picture]))[0]


def test_an_integral_image_holds_the_sums_above_and_to_the_left() -> None:
    features = features_of()
    integral = integral_image(features)

    assert integral.shape == (3, HEIGHT + 1, WIDTH + 1, 4)
    for row in range(HEIGHT + 1):
        for column in range(WIDTH + 1):
            torch.testing.assert_close(integral[:, row, column], features[:, :, :row, :column].sum((2, 3)))


def covered(centre: float, length: float, count: int) -> list[float]:
    """The part of each of `count` cells that a span covers; it is a cell long at least, within the row."""
    half = max(length * count, 1) / 2
    first, last = max(centre * count - half, 0), min(centre * count + half, count)
    first, last = min(first, count - 1), max(last, 1)  # one that lies outside covers the nearest cell
    return [max(0.0, min(last, cell + 1) - max(first, cell)) for cell in range(count)]


@pytest.mark.parametrize("seed", range(10))
def test_pooling_agrees_with_a_loop(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = features_of(seed)
    boxes = torch.rand(40, 4, generator=generator, dtype=torch.float64)
    boxes[:20, 2:] *= 0.2  # some smaller than a cell
    boxes[10:30, :2] = boxes[10:30, :2] * 1.2 - 0.1  # some centred outside
    picture = torch.randint(3, (40,), generator=generator)
    found = pool_regions(integral_image(features), boxes, picture)

    for mean, (x, y, width, height), number in zip(found, boxes.tolist(), picture.tolist(), strict=True):
        total, area = torch.zeros(4, dtype=torch.float64), 0.0
        for row, down in enumerate(covered(y, height, HEIGHT)):
            for column, across in enumerate(covered(x, width, WIDTH)):
                total += features[number, :, row, column] * down * across
                area += down * across
        torch.testing.assert_close(mean, total / area)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((0.5, 0.5, 1.0, 1.0), slice(None), slice(None)),
        ((0.5, 0.5, 9.0, 9.0), slice(None), slice(None)),
        ((0.5, 0.5, math.inf, math.inf), slice(None), slice(None)),  # early in training exp(tw) may overflow
        ((0.5, 0.5, 0.0, 1.0), slice(None), slice(3, 4)),
        ((1.0, 1.0, 0.0, 0.0), slice(4, 5), slice(6, 7)),
        ((0.0, 0.0, 0.0, 0.0), slice(0, 1), slice(0, 1)),
        ((-0.2, 1.2, 0.1, 0.1), slice(4, 5), slice(0, 1)),  # outside: the nearest cell
        ((0.0, 0.5, 6 / 7, 0.1), slice(2, 3), slice(0, 3)),  # cut at the picture's border, no longer beyond it
    ],
)
def test_known_boxes(box: tuple[float, float, float, float], rows: slice, columns: slice) -> None:
    features = features_of()

    torch.testing.assert_close(pooled(features, box, picture=1), features[1, :, rows, columns].mean((1, 2)))


def test_means_change_steadily_with_the_box() -> None:
    features = features_of()
    integral = integral_image(features)
    sides = torch.linspace(-0.1, 1.1, 20_001, dtype=torch.float64)
    picture = torch.zeros(len(sides), dtype=torch.int64)
    fixed = torch.full_like(sides, 0.3)
    moved = pool_regions(integral, torch.stack((sides, fixed, fixed, fixed), 1), picture)
    grown = pool_regions(integral, torch.stack((fixed, fixed, sides.clamp(min=0), fixed), 1), picture)

    for means in (moved, grown):
        assert means.diff(dim=0).abs().max() < 1e-2
        assert means.std(0).min() > 1e-2


def test_a_grid_of_one_cell_has_one_mean() -> None:
    features = torch.rand(1, 4, 1, 1)

    torch.testing.assert_close(pooled(features, (0.9, 0.1, 0.3, 0.4)), features[0, :, 0, 0])


def test_no_boxes_have_no_rows() -> None:
    none = pool_regions(integral_image(features_of()), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))

    assert none.shape == (0, 4)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_sums_are_of_float32_at_least(given: torch.dtype, expected: torch.dtype) -> None:
    features = torch.rand(1, 3, 40, 40).to(given) * 6
    box = (0.99, 0.99, 0.001, 0.001)  # the last cell: a small difference of large sums

    assert integral_image(features).dtype == expected
    found = pool_regions(integral_image(features), torch.tensor([box]), torch.tensor([0]))[0]
    torch.testing.assert_close(found, features[0, :, -1, -1].to(expected), rtol=0, atol=2e-3)

"""Means of a feature map over boxes, from its integral image: a few look-ups a box, whatever the box's size."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


def integral_image(features: Tensor) -> Tensor:
    """Return the sums [B, H + 1, W + 1, C] of features [B, C, H, W] above and to the left of every cell corner.

    In float32 at least: bfloat16 would lose what a difference of two sums needs.
    """
    precise = features if features.dtype == torch.float64 else features.float()
    sums = precise.permute(0, 2, 3, 1).cumsum(1).cumsum(2)
    return F.pad(sums, (0, 0, 1, 0, 1, 0))


def pool_regions(integral: Tensor, boxes: Tensor, picture: Tensor) -> Tensor:
    """Average a feature map over boxes, each cell by the part of it that a box covers.

    A box counts as at least one cell wide and high, and what lies outside the picture is left out. The mean changes
    steadily with the box: rounding in a box's last digits cannot change what it is called.

    Args:
        integral: [B, H + 1, W + 1, C], of `integral_image`.
        boxes: [K, 4], centre x, centre y, width, height as fractions of the picture.
        picture: [K] int64, the picture of each.

    Returns:
        [K, C].
    """
    # the counts stay numbers: as tensors they would be constants of an exported graph, whatever its input's size
    x = _span(boxes[:, 0], boxes[:, 2], integral.shape[2] - 1)
    y = _span(boxes[:, 1], boxes[:, 3], integral.shape[1] - 1)

    def above(row: "_Place") -> Tensor:
        """Return the sum between a span's ends in the rows above a place, by linear interpolation."""
        near, far = ((_at(integral, picture, line, x.last) - _at(integral, picture, line, x.first)) for line in row[:2])
        return near + (far - near) * row.part[:, None]

    area = (x.last.position - x.first.position) * (y.last.position - y.first.position)
    return (above(y.last) - above(y.first)) / area[:, None]


class _Place(NamedTuple):
    """A position between two cell corners: their numbers [K], and how far it is on the way to the second [K]."""

    near: Tensor
    far: Tensor
    part: Tensor

    @property
    def position(self) -> Tensor:
        return self.near + self.part


class _Span(NamedTuple):
    first: _Place
    last: _Place


def _span(centre: Tensor, length: Tensor, count: int) -> _Span:
    """Return where boxes begin and end in a row of `count` cells; all are fractions of the row."""
    middle, half = centre * count, (length * count / 2).clamp(min=0.5)
    # cut off outside the row, but never to less than its first or last cell
    return _Span(_place((middle - half).clamp(0, count - 1), count), _place((middle + half).clamp(1, count), count))


def _place(position: Tensor, count: int) -> _Place:
    near = position.floor().clamp(max=count - 1)
    return _Place(near.long(), near.long() + 1, position - near)


def _at(integral: Tensor, picture: Tensor, line: Tensor, place: _Place) -> Tensor:
    """Return the integral image [K, C] on a line of corners, by linear interpolation along it."""
    near, far = integral[picture, line, place.near], integral[picture, line, place.far]
    return near + (far - near) * place.part[:, None]

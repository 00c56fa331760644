"""Boxes from raw outputs, whatever tx and ty say, and the errors they are learned by."""

from itertools import product

import pytest
import torch
from torch import Tensor

from training.networks.parts.detector import BoxIndex, Location, decode_boxes, decode_chosen

ANCHORS = torch.tensor([[0.5, 2.0], [3.0, 1.5]])
HEIGHT, WIDTH = 2, 3
locations = pytest.mark.parametrize("location", list(Location))


def raw_boxes() -> Tensor:
    return torch.randn(2, len(ANCHORS), HEIGHT, WIDTH, 5, generator=torch.Generator().manual_seed(0))


def test_boxes_one_by_one() -> None:
    raw = raw_boxes()
    boxes = decode_boxes(raw, ANCHORS)
    for picture, anchor, row, column in product(range(2), range(len(ANCHORS)), range(HEIGHT), range(WIDTH)):
        tx, ty, tw, th, _ = raw[picture, anchor, row, column]
        width, height = ANCHORS[anchor]
        x, y = column + tx.sigmoid(), row + ty.sigmoid()
        expected = torch.stack((x / WIDTH, y / HEIGHT, width * tw.exp() / WIDTH, height * th.exp() / HEIGHT))
        torch.testing.assert_close(boxes[picture, anchor, row, column], expected)


@locations
def test_chosen_boxes_are_those_of_the_grid(location: Location) -> None:
    raw = raw_boxes()
    index = BoxIndex(*torch.tensor([[0, 1, 1, 2], [1, 0, 0, 0], [1, 1, 0, 2]]).unbind(1))
    found = decode_chosen(raw[tuple(index)], index, ANCHORS, (HEIGHT, WIDTH), location)
    torch.testing.assert_close(found, decode_boxes(raw, ANCHORS, location)[tuple(index)])

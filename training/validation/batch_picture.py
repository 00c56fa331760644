"""A grid of the first pictures of a run, as the network gets them: with every box, after every augmentation."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from PIL import Image

from model.wordtree import WordTree
from training.configurations.train import TrainConfiguration
from training.data.batches import BatchSampler
from training.data.mixture import Example, Mixture
from training.files import replace_file
from training.pages.drawing import GREEN, ORANGE, Canvas
from training.targets import NO_NODE

FILE: Final = "batch.jpg"
ACROSS: Final = 4
"""Pictures in a row; there are as many rows at most."""
SIDE: Final = 320
"""Pixels of each at most."""
MARGIN: Final = 4
GREY: Final = (120, 120, 120)


def draw_first_batch(configuration: TrainConfiguration, mixture: Mixture, tree: WordTree) -> None:
    """Write the grid into a run's folder.

    Boxes that people drew are green; those that another detector gave orange, and grey where nothing is learned of
    them. A picture with a label alone has the label in its corner.

    Args:
        configuration: of the run.
        mixture: its pictures.
        tree: the trained one, of the labels.
    """
    batch = configuration.optimizer.batch
    (requests,) = BatchSampler(mixture.items, batch, configuration.sizes, configuration.seed, 0, 1)
    cells = [_drawn(mixture[request], tree) for request in islice(requests, ACROSS**2)]
    replace_file(configuration.output / FILE, _grid(cells))


def _drawn(example: Example, tree: WordTree) -> Image.Image:
    side = example.pixels.shape[0]
    canvas = Canvas(Image.fromarray(example.pixels), SIDE)
    for (x, y, width, height), node, confidence in zip(
        (example.boxes * side).tolist(), example.nodes.tolist(), example.confidence.tolist(), strict=True
    ):
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        colour = GREEN if confidence == 1 else ORANGE if confidence else GREY
        canvas.draw(corners, "something" if node == NO_NODE else tree.names[node], colour, below=False)
    if example.label is not None:
        canvas.draw((0, 0, side - 1, side - 1), f"label: {tree.names[example.label]}", GREEN, below=True)
    return canvas.image


def _grid(cells: Sequence[Image.Image]) -> bytes:
    side = cells[0].width
    across = min(ACROSS, len(cells))
    down = -(-len(cells) // across)
    step = side + MARGIN
    grid = Image.new("RGB", (across * step - MARGIN, down * step - MARGIN), "white")
    for number, cell in enumerate(cells):
        grid.paste(cell, (number % across * step, number // across * step))
    return Canvas(grid, max(grid.size)).jpeg()

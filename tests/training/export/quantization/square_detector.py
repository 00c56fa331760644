"""A detector that needs no training: it finds red and blue squares of one cell, on white, and 8 bits can blind it.

Its first convolution averages the colours of a cell, beside a channel that always holds a constant; the second tells
red and blue from the rest; the third only passes that on. With 8 bits for all channels of the first together, those of
the colours are rounded to nothing if the constant is `LOUD`: then both layers that touch them have to stay in float.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.metadata import Preprocessing
from tests.model_files import tiny_metadata, tiny_tree
from tests.training.detection_sets import Drawn, write_pictures
from training.export.model_file import export_detector
from training.networks.parts.detector import BoxIndex, Detector, Prediction

LOUD, QUIET = 4000.0, 1.0
MEAN, SCALE = 127, 128
SIZE = 96
CELL = 32


class SquareDetector(Detector):
    """See the module.

    Args:
        constant: what the channel beside the colours always holds.
    """

    def __init__(self, constant: float) -> None:
        metadata = tiny_metadata()
        super().__init__(torch.tensor([[1.0, 1.0]]), len(metadata.trained))
        self.colours = nn.Conv2d(3, 4, CELL, CELL)
        self.telling = nn.Conv2d(4, 2, 1)
        self.passing = nn.Conv2d(2, 2, 1)
        self.box = nn.Conv2d(2, 5, 1)
        self.rows = nn.Linear(2, self.classes)
        names = metadata.trained_tree.names
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            for colour in range(3):
                self.colours.weight[colour, colour] = 1 / CELL**2
            self.colours.bias.copy_(torch.tensor([*[MEAN / SCALE] * 3, constant]))  # type: ignore[union-attr]
            self.telling.weight[:, :3, 0, 0] = torch.tensor([[1.0, -1, -1], [-1, -1, 1]])
            self.passing.weight[:, :, 0, 0] = torch.eye(2)
            self.box.weight[4] = 10
            self.box.bias[4] = -5  # type: ignore[index]
            for column, path in enumerate((("animal", "dog", "beagle"), ("vehicle", "bicycle"))):
                self.rows.weight[[names.index(name) for name in path], column] = 8

    def forward(self, pictures: Tensor) -> Prediction:
        """Predict, see `Detector`."""
        seen = F.relu(self.colours((pictures - MEAN) / SCALE))
        features = F.relu(self.passing(F.relu(self.telling(seen))))
        raw = self.box(features)[:, None].permute(0, 1, 3, 4, 2)
        return Prediction(raw, (features,))

    def class_logits(self, features: tuple[Tensor, ...], index: BoxIndex) -> Tensor:
        """Return logits, see `Detector`."""
        logits: Tensor = self.rows(features[0].permute(0, 2, 3, 1)[index.picture, index.row, index.column])
        return logits


def write_model(path: Path, constant: float = QUIET) -> Path:
    """Write its model file."""
    metadata = tiny_metadata(
        anchors=[[1.0, 1.0]],
        sizes=(SIZE,),
        default_size=SIZE,
        preprocessing=Preprocessing(mean=(MEAN,) * 3, scale=(SCALE,) * 3),
    )
    export_detector(SquareDetector(constant).eval(), metadata, path)
    return path


class Squares(NamedTuple):
    """A set of pictures: where its annotations and its pictures are."""

    annotations: Path
    pictures: Path

    @property
    def given(self) -> str:
        """As an entry of `sets`."""
        return f"{self.annotations}:{self.pictures}"


def write_squares(folder: Path) -> Squares:
    """Write pictures of red and blue squares."""
    assert {"beagle", "bicycle"} < set(tiny_tree().names)
    places = [(0, 32, "red", "beagle"), (64, 0, "blue", "bicycle"), (32, 64, "red", "beagle")]
    pictures = [[Drawn((x, y, CELL, CELL), colour, label)] for x, y, colour, label in places]
    return Squares(*write_pictures(folder, pictures, size=(SIZE, SIZE)))

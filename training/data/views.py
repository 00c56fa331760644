"""Views of pictures for classifiers: random crops, rotations and colours, and the middle of a picture to be scored on.

Paper section 3, "training for classification"; darknet's `random_augment_image` (image.c) and the constants of
darknet19.cfg: angle=7, aspect=.75, hue=.1, saturation=.75, exposure=.75, crops of 224 px from pictures whose shorter
side is 224 to 448 px. darknet19_448.cfg has 448 to 512 px.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from model.pictures.decoding import decode_for
from training.data.augmentation.augment import AugmentConfiguration, place, random_colours
from training.data.augmentation.turn import turned_middle
from training.data.mixture import Example, SampleRequest
from training.data.pictures.picture import LabelOnlyPicture
from training.data.reading import read_picture, reading
from training.data.sources import Items, Source

Pixels = NDArray[np.uint8]


class ViewConfiguration(BaseModel):
    """How far views for a classifier may stray from the picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    largest_zoom: float = Field(
        2, ge=1, description="the picture's shorter side, as a factor on the view's, is drawn from 1 to this"
    )
    aspect: float = Field(4 / 3, ge=1, description="largest factor to multiply or divide the aspect ratio by")
    angle: float = Field(7, ge=0, le=180, description="largest rotation either way, degrees")
    hue: float = Field(0.1, ge=0, le=0.5, description="largest turn of the hue, in turns of the colour circle")
    saturation: float = Field(4 / 3, ge=1, description="largest factor to multiply or divide the saturation by")
    exposure: float = Field(4 / 3, ge=1, description="largest factor to multiply or divide the brightness by")

    def colours(self) -> AugmentConfiguration:
        """Return the colours' part, as `random_colours` takes it."""
        return AugmentConfiguration(hue=self.hue, saturation=self.saturation, exposure=self.exposure)


def random_view(
    image: Image.Image, size: int, configuration: ViewConfiguration, generator: np.random.Generator
) -> Pixels:
    """Return a random view, uint8 [size, size, 3].

    Args:
        image: RGB picture.
        size: side of the square, px.
        configuration: how far to stray.
        generator: source of the randomness.
    """
    return _shown(image, size, configuration, generator, _drawn(image.size, size, configuration, generator))


def decoded_view(data: bytes, size: int, configuration: ViewConfiguration, generator: np.random.Generator) -> Pixels:
    """Return a random view of a picture file, of which no more than the view needs is decoded; see `random_view`.

    Raises:
        PictureError: it cannot be read.
    """
    drawn = (0.0, 0.0)

    def draw(width: int, height: int) -> tuple[float, float]:
        nonlocal drawn
        drawn = _drawn((width, height), size, configuration, generator)
        return drawn

    image = decode_for(data, draw)
    if not drawn[0]:  # no JPEG
        drawn = _drawn(image.size, size, configuration, generator)
    return _shown(image, size, configuration, generator, drawn)


def _drawn(
    picture: tuple[int, int], size: int, configuration: ViewConfiguration, generator: np.random.Generator
) -> tuple[float, float]:
    """Draw the width and height that a picture of a width and height is drawn at, px."""
    stretch = generator.uniform(1, configuration.aspect)
    if generator.random() < 0.5:
        stretch = 1 / stretch
    width, height = picture[0] * math.sqrt(stretch), picture[1] / math.sqrt(stretch)
    scale = size * generator.uniform(1, configuration.largest_zoom) / min(width, height)
    return width * scale, height * scale


def _shown(
    image: Image.Image,
    size: int,
    configuration: ViewConfiguration,
    generator: np.random.Generator,
    drawn: tuple[float, float],
) -> Pixels:
    """Return a view of a picture that is drawn at a width and height."""
    width, height = drawn
    left, top = generator.uniform(0, width - size), generator.uniform(0, height - size)
    angle = generator.uniform(-configuration.angle, configuration.angle)
    turned = math.radians(angle)
    # a square that holds the turned view
    side = math.ceil(size * (abs(math.cos(turned)) + abs(math.sin(turned))))
    margin = (side - size) / 2
    view = place(image, side, (margin - left, margin - top, width, height))
    mirrored = bool(generator.random() < 0.5)
    colours = random_colours(configuration.colours(), generator)
    return turned_middle(view, angle, size, colours, mirrored=mirrored)


def central_view(image: Image.Image, size: int) -> Pixels:
    """Return the middle of a picture whose shorter side becomes `size` px, uint8 [size, size, 3]."""
    scale = size / min(image.size)
    width, height = image.width * scale, image.height * scale
    return np.asarray(place(image, size, ((size - width) / 2, (size - height) / 2, width, height)))


class Views:
    """The pictures of an epoch, each with its label's column; the same draw always gives the same view.

    Args:
        sources: of pictures with a label alone, as often as they repeat them.
        columns: int64 [N], the classifier's column of each node of the tree.
        configuration: how far views may stray; None for the middle of each picture.
        seed: of the views.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        columns: NDArray[np.int64],
        configuration: ViewConfiguration | None,
        seed: int = 0,
    ) -> None:
        self.items, self.columns, self.configuration, self.seed = Items(sources), columns, configuration, seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, draw: SampleRequest) -> Example:
        """Return a view.

        Raises:
            InvalidDatasetError: the picture cannot be read.
        """
        _, picture = self.items[draw.item]
        assert isinstance(picture, LabelOnlyPicture)
        if self.configuration is None:
            pixels = central_view(read_picture(picture), draw.size)
        else:
            generator = np.random.default_rng((self.seed, draw.position))
            with reading(picture):
                pixels = decoded_view(picture.read(), draw.size, self.configuration, generator)
        return Example.without_boxes(pixels, 0.0, int(self.columns[picture.node]))

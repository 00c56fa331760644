"""Random views of a picture: scaled, shifted, mirrored and recoloured, then letterboxed onto a square.

darknet's detection augmentation (`load_data_detection` in data.c): jitter of the aspect and the scale, a random place
on a grey canvas, a mirror image half of the time, and hue, saturation and exposure. yolo9000.cfg and yolov2-voc.cfg
give hue=.1, saturation=.75 to 1.5, exposure=.75 to 1.5.
"""

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.pictures.decoding import PADDING
from model.pictures.resizing import resized

FloatArray = NDArray[np.float32]

GREY: Final = np.full((3, 3), 1 / 3)  # a colour's projection on the axis of greys
# about that axis, red towards green
QUARTER_TURN: Final = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
FOCUS_SHARES: Final = (0.3, 0.9)  # of the view's side that the longer side of an object takes where it is looked at
LARGEST_FOCUS: Final = 5.0  # as `largest_scale`; beyond, a view shows no more than its picture's blocks
SHORTEST_SIDE: Final = 2  # pixels of the view: a box with a shorter side left shows nothing


class AugmentConfiguration(BaseModel):
    """How far the views may stray from the picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jitter: float = Field(0.2, ge=0, lt=1, description="largest relative change of the aspect ratio")
    smallest_scale: float = Field(0.6, gt=0, description="smallest scale, relative to the letterboxed picture")
    largest_scale: float = Field(1.6, gt=0, description="largest scale, relative to the letterboxed picture")
    hue: float = Field(0.1, ge=0, le=0.5, description="largest shift of the hue, in turns of the colour circle")
    saturation: float = Field(1.5, ge=1, description="largest factor by which saturation is multiplied or divided")
    exposure: float = Field(1.5, ge=1, description="largest factor by which brightness is multiplied or divided")
    least_visible: float = Field(
        0.3, ge=0, le=1, description="drop boxes of which less than this share is in view, 0 to 1"
    )

    mosaic: float = Field(
        0,
        ge=0,
        le=1,
        description="share of the pictures with boxes that appear in a mosaic with three others of their set",
    )
    focus: float = Field(
        0,
        ge=0,
        le=1,
        description="share of the pictures with boxes that are shown close to one object, of a randomly drawn kind",
    )
    backgrounds: float = Field(
        0,
        ge=0,
        le=1,
        description=(
            "share of the pictures with boxes that are replaced by a background without objects: "
            "a plain colour, a gradient, noise"
        ),
    )

    @model_validator(mode="after")
    def _check_scales(self) -> Self:
        if self.smallest_scale > self.largest_scale:
            raise ValueError(f"smallest_scale {self.smallest_scale:g} exceeds largest_scale {self.largest_scale:g}")
        return self


@dataclass(frozen=True)
class View:
    """A square picture and the boxes left in it.

    pixels: uint8 [S, S, 3]. boxes: [N, 4] centre x, centre y, width, height as fractions of the square. kept: int64
    [N], which of the source's boxes they are.
    """

    pixels: NDArray[np.uint8]
    boxes: FloatArray
    kept: NDArray[np.int64]


def augment(
    image: Image.Image,
    boxes: FloatArray,
    size: int,
    configuration: AugmentConfiguration,
    generator: np.random.Generator,
    chances: NDArray[np.float64] | None = None,
) -> View:
    """Return a random view.

    Args:
        image: RGB picture.
        boxes: [N, 4] x1, y1, x2, y2 in pixels of the picture.
        size: side of the square, px.
        configuration: how far to stray.
        generator: source of the randomness.
        chances: [N], how likely the view is brought near each object, if near any; None: near none.
    """
    width, height = image.size
    fit = size / max(width, height)
    near = (
        chances is not None
        and len(chances) > 0
        and configuration.focus > 0
        and generator.random() < configuration.focus
    )
    scale = np.exp(generator.uniform(np.log(configuration.smallest_scale), np.log(configuration.largest_scale)))
    stretch = 1 + generator.uniform(-configuration.jitter, configuration.jitter)
    focus = boxes[generator.choice(len(boxes), p=chances)] if near else None
    if focus is not None:
        longer = max(focus[2] - focus[0], focus[3] - focus[1])
        scale = min(generator.uniform(*FOCUS_SHARES) * max(width, height) / longer, LARGEST_FOCUS)
    new_width = max(8.0, width * fit * scale * np.sqrt(stretch))
    new_height = max(8.0, height * fit * scale / np.sqrt(stretch))
    across, down = (None, None) if focus is None else (focus[[0, 2]] / width, focus[[1, 3]] / height)
    left = _offset(size, new_width, across, generator)
    top = _offset(size, new_height, down, generator)
    view = place(image, size, (left, top, new_width, new_height))
    factors = np.array([new_width / width, new_height / height] * 2, np.float32)
    placed = boxes * factors + np.array([left, top] * 2, np.float32)
    if generator.random() < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        placed = np.stack((size - placed[:, 2], placed[:, 1], size - placed[:, 0], placed[:, 3]), axis=1)
    view = recolour(view, configuration, generator)
    fractions, kept = visible(placed, size, configuration.least_visible)
    return View(np.asarray(view), fractions, kept)


def drawn_at_most(size: int, configuration: AugmentConfiguration, width: int, height: int) -> tuple[float, float]:
    """Return the greatest width and height, px, that a picture is drawn at in a view that is brought near no object."""
    scale = size / max(width, height) * configuration.largest_scale
    jitter = configuration.jitter
    return width * scale * math.sqrt(1 + jitter), height * scale / math.sqrt(1 - jitter)


def _offset(size: int, length: float, inside: NDArray[np.floating] | None, generator: np.random.Generator) -> float:
    """Draw where a side of a picture begins in a view, px: it lies in the view, or fills it.

    Args:
        size: side of the view.
        length: that side of the picture, in the view's pixels.
        inside: the part of it, from and to as fractions, that should be in view.
    """
    least, most = min(0.0, size - length), max(0.0, size - length)
    if inside is not None:
        first, last = -float(inside[0]) * length, size - float(inside[1]) * length
        least, most = max(least, min(first, last)), min(most, max(first, last))
        most = max(least, most)
    return float(generator.uniform(least, most))


def place(image: Image.Image, size: int, rectangle: tuple[float, float, float, float]) -> Image.Image:
    """Draw a picture into a rectangle (left, top, width, height; px) of a grey square, cutting off what sticks out."""
    left, top, width, height = rectangle
    x1, y1 = max(0, round(left)), max(0, round(top))
    x2, y2 = min(size, round(left + width)), min(size, round(top + height))
    canvas = Image.new("RGB", (size, size), (PADDING,) * 3)
    source = (
        max(0.0, (x1 - left) / width * image.width),
        max(0.0, (y1 - top) / height * image.height),
        min(float(image.width), (x2 - left) / width * image.width),
        min(float(image.height), (y2 - top) / height * image.height),
    )
    canvas.paste(resized(image, (x2 - x1, y2 - y1), source), (x1, y1))
    return canvas


def recolour(image: Image.Image, configuration: AugmentConfiguration, generator: np.random.Generator) -> Image.Image:
    """Turn the hue and scale the saturation and the brightness of an RGB picture by random amounts."""
    return image.convert("RGB", tuple(random_colours(configuration, generator).ravel().tolist()))


def random_colours(configuration: AugmentConfiguration, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return what RGB values and a one are multiplied by, [3, 4], for a random hue, saturation and brightness."""
    turn = generator.uniform(-configuration.hue, configuration.hue)
    return colour_matrix(turn, _factor(configuration.saturation, generator), _factor(configuration.exposure, generator))


def colour_matrix(turn: float, saturation: float, exposure: float) -> NDArray[np.float64]:
    """Return what RGB values and a one are multiplied by, [3, 4].

    darknet goes through HSV space. Here the colour turns about the axis of greys, and its distance from that axis and
    both together are scaled: one matrix for all pixels, in a tenth of the time. On a CPU, where every core would rather
    compute the step, the way through HSV was the largest part of what loading costs.

    Args:
        turn: of the hue, in turns of the colour circle; a third makes red green.
        saturation: factor on the distance from grey.
        exposure: factor on all values.
    """
    angle = 2 * math.pi * turn
    turned = math.cos(angle) * np.eye(3) + (1 - math.cos(angle)) * GREY + math.sin(angle) * QUARTER_TURN
    matrix = np.zeros((3, 4))
    matrix[:, :3] = exposure * (saturation * turned + (1 - saturation) * GREY)
    return matrix


def _factor(largest: float, generator: np.random.Generator) -> float:
    """Draw a factor between 1 and `largest`, or its inverse."""
    factor = generator.uniform(1, largest)
    return factor if generator.random() < 0.5 else 1 / factor


def visible(boxes: FloatArray, size: int, least_visible: float) -> tuple[FloatArray, NDArray[np.int64]]:
    """Clip boxes [N, 4] (x1, y1, x2, y2; px) to the square and keep those of which enough is left.

    Args:
        boxes: may reach beyond the square.
        size: side of the square, px.
        least_visible: the part of its area, 0 to 1, that a box needs to have in the square to be kept.

    Returns:
        The kept boxes as fractions (centre x, centre y, width, height) and their numbers.
    """
    clipped = np.clip(boxes, 0, size)
    sides = clipped[:, 2:] - clipped[:, :2]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept = np.flatnonzero((sides >= SHORTEST_SIDE).all(1) & (sides.prod(1) >= least_visible * area))
    centre = (clipped[kept, :2] + clipped[kept, 2:]) / 2
    return np.concatenate((centre, sides[kept]), axis=1).astype(np.float32) / np.float32(size), kept

"""Pictures without any object, made up: a plain colour, a gradient between two, noise, or these together.

Photographs with boxes hardly ever show nothing at all, so a detector may see things in an empty sky or in a lens cap.
Every other one lies between bars, as a picture that is no square does once it is letterboxed.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.pictures.decoding import PADDING

LARGEST_GRAIN: Final = 32  # px a square of noise
LARGEST_DEVIATION: Final = 100.0  # of noise, in grey values
LARGEST_ASPECT: Final = 2.0  # longer side by shorter side of what lies between bars


def background(size: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return a square picture of nothing, uint8 [size, size, 3].

    Args:
        size: its side, px.
        generator: source of the randomness.
    """
    first, second = (_colour(generator) for _ in range(2))
    pixels = np.broadcast_to(first, (size, size, 3))
    kind = generator.integers(4)  # plain, gradient, noise, gradient with noise
    if kind % 2:
        share = (_line if generator.random() < 0.5 else _circles)(size, generator)[..., None]
        pixels = first + share * (second - first)
    if kind >= 2:
        pixels = pixels + _noise(size, generator)
    result: NDArray[np.uint8] = pixels.clip(0, 255).astype(np.uint8)
    if generator.random() < 0.5:
        _letterbox(result, generator)
    return result


def _letterbox(pixels: NDArray[np.uint8], generator: np.random.Generator) -> None:
    """Lay bars over two opposite sides, in place."""
    size = len(pixels)
    bar = round(size * (1 - 1 / generator.uniform(1, LARGEST_ASPECT)) / 2)
    upright = pixels if generator.random() < 0.5 else pixels.swapaxes(0, 1)
    upright[:bar] = PADDING
    upright[size - bar :] = PADDING


def _colour(generator: np.random.Generator) -> NDArray[np.float64]:
    """A colour; every other time a grey."""
    values = generator.uniform(0, 255, 3)
    return values if generator.random() < 0.5 else np.full(3, values[0])


def _line(size: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """From 0 to 1 across the picture, in any direction."""
    down, across = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    angle = generator.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * across + np.sin(angle) * down
    share: NDArray[np.float64] = (ramp - ramp.min()) / np.ptp(ramp)
    return share


def _circles(size: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """From 0 at a point to 1 at what is farthest from it, faster or more slowly than the distance."""
    down, across = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    distance = np.hypot(down - generator.uniform(0, 1), across - generator.uniform(0, 1))
    share: NDArray[np.float64] = (distance / distance.max()) ** generator.uniform(0.5, 2)
    return share


def _noise(size: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Squares of random brightness or, every other time, colour."""
    grain = int(generator.integers(1, LARGEST_GRAIN + 1)) if generator.random() < 0.5 else 1
    cells = -(-size // grain)
    deviation = generator.uniform(0, LARGEST_DEVIATION)
    noise = generator.normal(0, deviation, (cells, cells, 3 if generator.random() < 0.5 else 1))
    return noise.repeat(grain, axis=0).repeat(grain, axis=1)[:size, :size]

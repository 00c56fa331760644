"""Reading a set's pictures, and bringing what was labelled to the pixels of their files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.pictures.decoding import decode_for, decode_picture, letterbox
from model.pictures.errors import PictureError
from training.command_line import ConfigurationError
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.picture_headers import other_shape
from training.data.pictures.picture import BoxedPicture, LabelOnlyPicture
from training.data.shards.errors import ShardError


def read_picture(
    picture: BoxedPicture | LabelOnlyPicture, drawn: Callable[[int, int], tuple[float, float]] | None = None
) -> Image.Image:
    """Decode a picture, held upright.

    Args:
        picture: which.
        drawn: what it will be drawn at, see `model.pictures.decoding.decode_for`; None: it is decoded whole.

    Raises:
        InvalidDatasetError: it cannot be read.
    """
    with reading(picture):
        return decode_picture(picture.read()) if drawn is None else decode_for(picture.read(), drawn)


@contextmanager
def reading(picture: BoxedPicture | LabelOnlyPicture) -> Iterator[None]:
    """Say, of an error in the `with` block, which picture cannot be read.

    Raises:
        InvalidDatasetError: it cannot.
    """
    try:
        yield
    except ShardError as error:
        raise InvalidDatasetError(str(error)) from error
    except (OSError, PictureError) as error:
        raise InvalidDatasetError(f"{picture.path}: {error}; replace or remove it") from error


def boxes_on(image: Image.Image, picture: BoxedPicture) -> NDArray[np.float32]:
    """Return a picture's boxes in the pixels of its file, which may be a larger or smaller copy of what was labelled.

    Another shape means another picture, or one that was labelled lying on its side.

    Raises:
        InvalidDatasetError: it has another shape.
    """
    if reason := other_shape(image.size, picture):
        raise InvalidDatasetError(f"{reason} as its annotations say; use the picture that the boxes were drawn on")
    return _scaled(picture.boxes, image, picture)


def crowds_on(image: Image.Image, picture: BoxedPicture | LabelOnlyPicture) -> NDArray[np.float32]:
    """Return the boxes around crowds in the pixels of a picture's file."""
    if isinstance(picture, LabelOnlyPicture):
        return np.zeros((0, 4), np.float32)
    return _scaled(picture.crowd_boxes, image, picture)


def _scaled(boxes: NDArray[np.float32], image: Image.Image, picture: BoxedPicture) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = boxes * np.array(
        [image.width / picture.width, image.height / picture.height] * 2, np.float32
    )
    return scaled


def read_letterboxed(path: Path, size: int) -> NDArray[np.uint8]:
    """Return a picture as a batch of one, uint8 [1, size, size, 3], letterboxed as the service does it.

    Raises:
        ConfigurationError: the picture cannot be read.
    """
    try:
        pixels, _ = letterbox(decode_picture(path.read_bytes()), size)
    except (OSError, PictureError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return pixels[None]

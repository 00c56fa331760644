"""From the bytes of a picture file to the square the network sees."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from model.geometry import Letterbox
from model.pictures.colour import PLAIN_MODES, to_srgb
from model.pictures.opening import MAX_PIXELS, opened
from model.pictures.resizing import resized
from model.pictures.tiff import as_8_bits

PADDING = 127
"""Grey level around a letterboxed picture."""

DRAFT_AT_LEAST = 1.75
"""How many times the size that is needed a JPEG is decoded to at least; most of the averaging stays with the resizing,
as in training. In 376 cases (47 photographs, eight sizes) squares differed from fully decoded ones by .4 grey levels on
average and 1.8 at most; 2 gives .3 and 1.7, 1.5 gives .7 and 2.3, 1 gives 1.6 and 7.6. At 12 megapixels 2 takes 1.5
times as long. simplejpeg, another binding of libjpeg-turbo, was not faster (17 ms both)."""


def decode_picture(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture file to RGB as a person sees it.

    EXIF orientation is applied, transparency is laid over white, deeper samples are reduced to 8 bits, a colour
    profile is applied, and of an animation the first frame is taken. The size is read from the header and checked
    before decoding.

    Args:
        data: a whole JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or, with the extra `heic`, HEIC file.
        max_pixels: the most pixels (width x height) to decode.

    Returns:
        An image of mode RGB.

    Raises:
        UnsupportedPictureError: not one of the accepted types.
        UnreadablePictureError: empty, damaged or cut short.
        PictureTooLargeError: more pixels than `max_pixels`, or a JPEG of more than `MAX_JPEG_SCANS` scans.
    """
    with opened(data, max_pixels) as file:
        return to_srgb(_upright(file))


def decode_for(
    data: bytes, drawn: Callable[[int, int], tuple[float, float]], *, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Decode a picture file that will be drawn smaller than it is.

    The same as `decode_picture`, but of a JPEG at least 3.5 times as large as it will be drawn only a half, a quarter
    or an eighth of the resolution is decoded.

    Args:
        data, max_pixels: see `decode_picture`, which also says what is raised.
        drawn: given the width and height of the picture, held upright, says which it will be drawn at, px.
    """
    with opened(data, max_pixels) as file:
        if isinstance(file, JpegImageFile):
            lying = _turn(file) in _QUARTER_TURNS
            size = drawn(*(file.size[::-1] if lying else file.size))
            width, height = (math.ceil(DRAFT_AT_LEAST * side) for side in (size[::-1] if lying else size))
            file.draft(None, (width, height))
        return to_srgb(_upright(file))


def decode_letterboxed(data: bytes, size: int, *, max_pixels: int = MAX_PIXELS) -> tuple[NDArray[np.uint8], Letterbox]:
    """Decode a picture file straight into the network's input, for whoever does not need the picture itself.

    The same as `letterbox(decode_picture(data), size)`, but of a JPEG at least 3.5 times as large as its
    place in the square only a half, a quarter or an eighth of the resolution is decoded. That is several
    times as fast, and the square on average less than two grey levels different. Colours are converted when the
    picture is small.

    Args:
        data, max_pixels: see `decode_picture`, which also says what is raised.
        size: side of the square in pixels.
    """
    with opened(data, max_pixels) as file:
        frame, box = None, None
        if isinstance(file, JpegImageFile):
            frame = Letterbox(size, file.width, file.height)
            width, height = (math.ceil(DRAFT_AT_LEAST * side) for side in (frame.resized_width, frame.resized_height))
            draft = file.draft(None, (width, height))
            # The last column and row may stand for less than a whole pixel; the draft's box says for how much.
            box = draft and draft[1]
        image = _loaded(file)
        frame = frame or Letterbox(size, file.width, file.height)
        plain = image.mode in PLAIN_MODES and not image.has_transparency_data
        image = image if plain else to_srgb(image)
        image = resized(image, (frame.resized_width, frame.resized_height), box)
        turn = _turn(file)
        if turn is not None:
            image = image.transpose(turn)
            if turn in _QUARTER_TURNS:
                frame = Letterbox(size, frame.height, frame.width)
        return _placed(to_srgb(image) if plain else image, frame), frame


def letterbox(image: Image.Image, size: int) -> tuple[NDArray[np.uint8], Letterbox]:
    """Fit an RGB picture into a square: resized as a whole, centred, padded with grey.

    Args:
        image: a picture of mode RGB.
        size: side of the square in pixels.

    Returns:
        The square, uint8 [size, size, 3], and the mapping between its pixels and the picture's.
    """
    if image.mode != "RGB":
        raise ValueError(f"letterbox needs an RGB picture, not mode {image.mode}")
    frame = Letterbox(size, image.width, image.height)
    return _placed(resized(image, (frame.resized_width, frame.resized_height)), frame), frame


def _placed(small: Image.Image, frame: Letterbox) -> NDArray[np.uint8]:
    """Return the square, uint8 [size, size, 3], with this resized picture where the letterbox has it."""
    square = np.full((frame.size, frame.size, 3), PADDING, dtype=np.uint8)
    rows = slice(frame.top, frame.top + frame.resized_height)
    columns = slice(frame.left, frame.left + frame.resized_width)
    square[rows, columns] = np.asarray(small)
    return square


_TURNS = {  # EXIF 2.32, tag 0x0112: what undoes each orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_QUARTER_TURNS = {_TURNS[orientation] for orientation in (5, 6, 7, 8)}


def _upright(file: ImageFile.ImageFile) -> Image.Image:
    """Decode and apply the EXIF orientation."""
    image = _loaded(file)
    turn = _turn(file)
    return image if turn is None else image.transpose(turn)


def _loaded(file: ImageFile.ImageFile) -> Image.Image:
    """Decode a file's pixels."""
    file.load()
    return as_8_bits(file) if isinstance(file, TiffImageFile) else file


def _turn(file: ImageFile.ImageFile) -> Image.Transpose | None:
    """Return what puts a loaded picture upright; damaged EXIF says nothing, and a TIFF has turned itself."""
    try:
        return _TURNS.get(file.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - a picture is worth answering whatever its metadata looks like
        return None

"""From the bytes of a picture file to the square the network sees. Nothing here trusts the bytes.

The exceptions, all of them `PictureError`:

    PictureError
    ├── UnsupportedPictureError    the bytes are not one of the accepted picture types
    ├── UnreadablePictureError     they claim to be, but are empty, damaged or cut short
    └── PictureTooLargeError       decoding would take more pixels or scans than allowed
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from model.geometry import Letterbox
from model.pictures.avif import coded_sizes
from model.pictures.colour import PLAIN_MODES, UnsupportedSamplesError, to_srgb
from model.pictures.tiff import UNSUPPORTED, as_8_bits, is_unknown_layout

Opener = Callable[[io.BytesIO], ImageFile.ImageFile]

HEIC: Opener | None
"""What opens HEIC; None without the extra `heic`, which is apart because what it brings is under the GPL and LGPL."""
try:
    from pillow_heif import HeifImageFile
except ImportError:
    HEIC = None
else:
    HEIC = HeifImageFile

MAX_PIXELS = 100_000_000
"""Default limit on width x height: the largest sensors of ordinary cameras; 300 MB once decoded."""

MAX_JPEG_SCANS = 100
"""A progressive JPEG has about ten scans; each costs a pass over all pixels but few bytes of file."""

PADDING = 127
"""Grey level around a letterboxed picture."""

ACCEPTED_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", *(("HEIC",) if HEIC else ()))
"""What `decode_picture` takes. HEIC needs the extra `heic`."""

MOST_CODED = 4
"""An AVIF's coded frames (the picture, its transparency, a thumbnail) have at most this many times the pixels that are
allowed for the picture."""

DRAFT_AT_LEAST = 1.75
"""How many times the size that is needed a JPEG is decoded to at least; most of the averaging stays with the resizing,
as in training. In 376 cases (47 photographs, eight sizes) squares differed from fully decoded ones by .4 grey levels on
average and 1.8 at most; 2 gives .3 and 1.7, 1.5 gives .7 and 2.3, 1 gives 1.6 and 7.6. At 12 megapixels 2 takes 1.5
times as long. simplejpeg, another binding of libjpeg-turbo, was not faster (17 ms both)."""

_RESAMPLING = Image.Resampling.BILINEAR

_TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH = 322, 323  # TIFF 6.0, section 15

# Pillow warns about odd metadata in the file's own words: whoever sends a picture must not write to our log.
warnings.filterwarnings("ignore", module=r"PIL\.")


class PictureError(ValueError):
    """A picture that cannot be used; the message says why in one sentence meant for whoever sent it."""


class UnsupportedPictureError(PictureError):
    """The bytes are not a picture of an accepted type."""


class UnreadablePictureError(PictureError):
    """The bytes claim to be a picture but cannot be decoded in full."""


class PictureTooLargeError(PictureError):
    """Decoding the picture would take more than the limit."""


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
    with _opened(data, max_pixels) as file:
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
    with _opened(data, max_pixels) as file:
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
        image = image.resize((frame.resized_width, frame.resized_height), _RESAMPLING, box=box)
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
    resized = image.resize((frame.resized_width, frame.resized_height), _RESAMPLING)
    return _placed(resized, frame), frame


def _placed(resized: Image.Image, frame: Letterbox) -> NDArray[np.uint8]:
    """Return the square, uint8 [size, size, 3], with this resized picture where the letterbox has it."""
    square = np.full((frame.size, frame.size, 3), PADDING, dtype=np.uint8)
    rows = slice(frame.top, frame.top + frame.resized_height)
    columns = slice(frame.left, frame.left + frame.resized_width)
    square[rows, columns] = np.asarray(resized)
    return square


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open a picture that is not too costly; what goes wrong, in the `with` block too, becomes our errors."""
    if not data:
        raise UnreadablePictureError("the picture is empty (0 bytes)")
    name, opener = _recognise(data)
    if name == "AVIF":
        data = _checked_avif(data, max_pixels)
    if name == "WEBP":  # its plugin allocates the canvas on opening
        _check_pixels(*_webp_canvas(data), max_pixels)
    try:
        with opener(io.BytesIO(data)) as file:
            _check_cost(file, data, max_pixels)
            yield file
    except (PictureError, MemoryError):
        raise
    except UnsupportedSamplesError as error:
        raise UnsupportedPictureError(str(error)) from error
    except Image.DecompressionBombError as error:
        raise PictureTooLargeError(f"the {name} has more pixels than the limit of {max_pixels}") from error
    except Exception as error:  # the decoders raise what they meet: OSError, SyntaxError, struct.error and more
        if name == "TIFF" and is_unknown_layout(error):
            raise UnsupportedPictureError(UNSUPPORTED) from error
        raise UnreadablePictureError(f"the {name} is damaged or cut short") from error


# The plugins are called directly: `Image.open` adds a limit of its own that cannot be set for one call, and
# for some JPEG files a parser for the further pictures in them, which nobody here looks at.
_SIGNATURES: tuple[tuple[bytes, str, Opener], ...] = (
    (b"\xff\xd8\xff", "JPEG", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", "PNG", PngImageFile),
    (b"GIF87a", "GIF", GifImageFile),
    (b"GIF89a", "GIF", GifImageFile),
    (b"BM", "BMP", BmpImageFile),
    (b"II*\0", "TIFF", TiffImageFile),
    (b"MM\0*", "TIFF", TiffImageFile),
    (b"II+\0", "TIFF", TiffImageFile),
    (b"MM\0+", "TIFF", TiffImageFile),
)
_LONGEST_BEGINNING = 256
"""Bytes that tell a picture's type, the list of an AVIF's brands included."""


def is_picture(data: bytes | bytearray) -> bool:
    """Tell whether bytes begin as a picture of an accepted type does."""
    try:
        _recognise(bytes(data[:_LONGEST_BEGINNING]))
    except UnsupportedPictureError:
        return False
    return True


def _recognise(data: bytes) -> tuple[str, Opener]:
    """Tell the picture type from the first bytes; what a client says about the type counts for nothing."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP", WebPImageFile
    for signature, name, opener in _SIGNATURES:
        if data.startswith(signature):
            return name, opener
    brands = _brands(data)
    if brands & {b"avif", b"avis"}:
        return "AVIF", AvifImageFile
    if brands & {b"heic", b"heix", b"heim", b"heis"} and HEIC:
        return "HEIC", HEIC
    raise UnsupportedPictureError(f"not a supported picture type ({', '.join(ACCEPTED_FORMATS)})")


def _brands(data: bytes) -> set[bytes]:
    """Return what an ISO base media file says it is: its first box, `ftyp` (ISO/IEC 14496-12, section 4.3)."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), _LONGEST_BEGINNING)
    return {data[8:12], *(data[place : place + 4] for place in range(16, end, 4))}


def _checked_avif(data: bytes, max_pixels: int) -> bytes:
    """Refuse an AVIF whose frames are too large, and have the still picture of an animation taken.

    The animation itself, which the first brand makes the decoder choose, is described elsewhere in the file; every
    animation has its first frame as a still picture too (AVIF specification, section 6.3).
    """
    try:
        sizes = coded_sizes(data)
    except ValueError as error:
        raise UnreadablePictureError("the AVIF is damaged or cut short") from error
    for coded in sizes:
        _check_pixels(coded.width, coded.height, max_pixels)
    if sum(coded.width * coded.height for coded in sizes) > MOST_CODED * max_pixels:
        raise PictureTooLargeError(f"the AVIF's frames have more than {MOST_CODED} times {max_pixels} pixels")
    return data[:8] + b"avif" + data[12:] if data[8:12] == b"avis" else data


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """Return width and height of a WebP's canvas from its first chunk (RFC 9649, section 2)."""
    kind, payload = data[12:16], data[20:30]
    if kind == b"VP8X":
        return 1 + int.from_bytes(payload[4:7], "little"), 1 + int.from_bytes(payload[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(payload[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(payload[6:8], "little") & 0x3FFF, int.from_bytes(payload[8:10], "little") & 0x3FFF


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise PictureTooLargeError(f"{width}x{height} pixels are more than the limit of {max_pixels} pixels")


def _check_cost(file: ImageFile.ImageFile, data: bytes, max_pixels: int) -> None:
    """Refuse what would take far more memory or time to decode than its bytes suggest."""
    _check_pixels(file.width, file.height, max_pixels)
    if isinstance(file, TiffImageFile):  # a tile is decoded whole, however little of it the picture covers
        tile_width, tile_length = (file.tag_v2.get(tag, 0) for tag in (_TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH))
        _check_pixels(tile_width, tile_length, max_pixels)
    # The quick count takes in whatever else the file holds, such as the film after a phone's "motion photo".
    elif isinstance(file, JpegImageFile) and data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        scans = _jpeg_scans(data)
        if scans > MAX_JPEG_SCANS:
            raise PictureTooLargeError(f"the JPEG has {scans} scans, more than the limit of {MAX_JPEG_SCANS}")


_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd8\xff]")  # neither stuffing, restart, start of image nor fill
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9  # ITU T.81, table B.1


def _jpeg_scans(data: bytes) -> int:
    """Count the scans of a JPEG's first picture."""
    scans = 0
    position = 2
    while match := _JPEG_MARKER.search(data, position):
        marker = data[match.end() - 1]
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    return scans


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

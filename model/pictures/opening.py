"""Opening picture files. Nothing here trusts the bytes: what a file costs is known before it is decoded."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from model.pictures.avif import coded_sizes
from model.pictures.colour import UnsupportedSamplesError
from model.pictures.errors import PictureError, PictureTooLargeError, UnreadablePictureError, UnsupportedPictureError
from model.pictures.tiff import UNSUPPORTED, is_unknown_layout

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

ACCEPTED_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", *(("HEIC",) if HEIC else ()))
"""What `decode_picture` takes. HEIC needs the extra `heic`."""

MOST_CODED = 4
"""An AVIF's coded frames (the picture, its transparency, a thumbnail) have at most this many times the pixels that are
allowed for the picture."""

_TIFF_TILE_WIDTH, _TIFF_TILE_LENGTH = 322, 323  # TIFF 6.0, section 15

# Pillow warns about odd metadata in the file's own words: whoever sends a picture must not write to our log.
warnings.filterwarnings("ignore", module=r"PIL\.")


@contextmanager
def opened(data: bytes, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
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
    elif isinstance(file, JpegImageFile) and _scan_marks(data) > MAX_JPEG_SCANS:
        scans = _jpeg_scans(data)
        if scans > MAX_JPEG_SCANS:
            raise PictureTooLargeError(f"the JPEG has {scans} scans, more than the limit of {MAX_JPEG_SCANS}")


def _scan_marks(data: bytes) -> int:
    """Count what may be the beginnings of scans: FF DA. In 5 MB that takes .7 ms; `bytes.count` takes 4.5."""
    values = np.frombuffer(data, np.uint8)
    return int(np.count_nonzero((values[:-1] == 0xFF) & (values[1:] == _START_OF_SCAN)))


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

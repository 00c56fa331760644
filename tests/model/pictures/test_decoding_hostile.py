"""Pictures sent by whoever wishes us ill, or whose connection broke."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.pictures.decoding import decode_letterboxed, decode_picture
from model.pictures.errors import PictureError, PictureTooLargeError, UnreadablePictureError, UnsupportedPictureError
from model.pictures.opening import MAX_JPEG_SCANS, MAX_PIXELS
from tests.model.picture_files import FILES, encode

every_file = pytest.mark.parametrize("data", FILES.values(), ids=FILES)


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"<html></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",  # Pillow would start Ghostscript
        b"P6 2 2 255 ............",
        b"\0" * 1000,
        b"RIFF\x24\0\0\0WAVEfmt ",
    ],
)
def test_other_content_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedPictureError, match="JPEG, PNG, WEBP, GIF, BMP, TIFF"):
        decode_picture(data)


def test_floating_point_samples_are_unsupported() -> None:
    with pytest.raises(UnsupportedPictureError, match="floating point"):
        decode_picture(encode(Image.new("F", (4, 4)), "TIFF"))


def test_an_empty_file_is_unreadable() -> None:
    with pytest.raises(UnreadablePictureError, match="empty"):
        decode_picture(b"")


@every_file
def test_a_file_cut_short_is_refused_unless_every_pixel_arrived(data: bytes) -> None:
    whole = np.asarray(decode_picture(data))
    accepted = 0
    for length in [*range(0, len(data), max(1, len(data) // 150)), *range(len(data) - 30, len(data))]:
        try:
            image = decode_picture(data[:length])
        except (UnreadablePictureError, UnsupportedPictureError):
            continue
        accepted += 1
        assert (np.asarray(image) == whole).all()
    assert accepted <= 30  # the checksum and end mark of a PNG, the end mark of a GIF


def test_a_truncated_jpeg_is_not_half_grey() -> None:
    for data in (FILES["JPEG"], FILES["progressive JPEG"]):
        for length in (len(data) // 2, len(data) - 1):
            with pytest.raises(UnreadablePictureError, match="damaged or cut short"):
                decode_picture(data[:length])


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damage_is_answered_with_our_errors_only(name: str, changes: list[tuple[float, int]]) -> None:
    damaged = bytearray(FILES[name])
    for place, value in changes:
        damaged[int(place**2 * len(damaged))] = value  # headers, where most can go wrong, lie in front
    for decode in (decode_picture, lambda data, **limit: decode_letterboxed(data, 64, **limit)):
        try:
            decode(bytes(damaged), max_pixels=1_000_000)
        except PictureError as error:
            assert len(str(error)) < 200  # noqa: PT017


# --- bombs: headers that promise too much. None has pixels: decoding before checking would be another error.


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, payload in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        data += struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))
    return data


def patched(data: bytes, place: int, pattern: str, *values: int) -> bytes:
    patch = struct.pack(pattern, *values)
    return data[:place] + patch + data[place + len(patch) :]


def jpeg(width: int, height: int) -> bytes:
    data = FILES["JPEG"]
    return patched(data, data.index(b"\xff\xc0") + 5, ">HH", height, width)


def gif(width: int, height: int, *, in_frame: bool) -> bytes:
    data = FILES["GIF"]
    return patched(data, data.index(b"," + b"\0" * 4) + 5 if in_frame else 6, "<HH", width, height)


def webp(width: int, height: int) -> bytes:
    extent = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + extent + b"VP8L\0\0\0\0" + b"\0" * 32


def tiff_tile(width: int, length: int) -> bytes:
    """An 8 x 8 picture that says it is stored in one large tile."""
    tags = {256: 8, 257: 8, 258: 8, 259: 8, 262: 1, 277: 1, 322: width, 323: length, 324: 8, 325: 4}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x0c\0\0\0" + b"\0" * 4 + struct.pack("<H", len(tags)) + entries + b"\0" * 4


@pytest.mark.parametrize(
    "data",
    [
        png(10_001, 10_000),
        png(2**31 - 1, 2**31 - 1),
        jpeg(65_500, 65_500),
        gif(60_000, 60_000, in_frame=False),
        gif(60_000, 60_000, in_frame=True),
        webp(2**24, 2**8),
        patched(FILES["BMP"], 18, "<ii", 100_000, 100_000),
        patched(FILES["BMP"], 18, "<ii", 100_000, -100_000),
        tiff_tile(40_000, 40_000),
    ],
    ids=["PNG", "huge PNG", "JPEG", "GIF", "GIF frame", "WebP", "BMP", "upside-down BMP", "TIFF tile"],
)
def test_too_many_pixels_are_refused_from_the_header(data: bytes) -> None:
    with pytest.raises(PictureTooLargeError, match=str(MAX_PIXELS)):
        decode_picture(data)


@every_file
def test_the_limit_can_be_set(data: bytes) -> None:
    assert decode_picture(data, max_pixels=128 * 96).size == (128, 96)
    with pytest.raises(PictureTooLargeError, match="12287"):
        decode_picture(data, max_pixels=128 * 96 - 1)


@pytest.mark.slow
def test_pillows_own_limit_does_not_get_in_the_way() -> None:
    pixels = 95_000_000  # Pillow warns from 89 million on, and a warning is an error in these tests

    image = decode_picture(encode(Image.new("1", (pixels // 1000, 1000)), "PNG"))

    assert image.size == (95_000, 1000)


def test_a_jpeg_of_many_scans_is_refused() -> None:
    data = encode(Image.new("L", (64, 64), 128), "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]

    decode_picture(data[:-2] + last_scan * 20 + data[-2:])
    with pytest.raises(PictureTooLargeError, match=f"scans, more than the limit of {MAX_JPEG_SCANS}"):
        decode_picture(data[:-2] + last_scan * MAX_JPEG_SCANS + data[-2:])


def test_a_text_chunk_that_unpacks_to_much_is_refused() -> None:
    bomb = b"Comment\0\0" + zlib.compress(b"\0" * 50_000_000)

    with pytest.raises(UnreadablePictureError):
        decode_picture(png(8, 8, (b"zTXt", bomb)))

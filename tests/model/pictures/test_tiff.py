"""TIFF's grey samples of every depth, sign and byte order, and either meaning of zero: decoded right, or refused."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from model.pictures.decoding import decode_letterboxed, decode_picture
from model.pictures.errors import UnsupportedPictureError
from model.pictures.tiff import UNSUPPORTED

LEVELS = np.array([0, 65, 131, 197, 255])
SHORT, LONG = 3, 4
PLAIN, DEFLATE = 1, 8


def tiff(samples: np.ndarray, order: str, photometric: int, *, compression: int = PLAIN, alpha: bool = False) -> bytes:
    """Return a grey TIFF of one strip; bits and sign are those of the samples [H, W] or, with alpha, [H, W, 2]."""
    bits, signed = 8 * samples.dtype.itemsize, samples.dtype.kind == "i"
    strip = samples.astype(samples.dtype.newbyteorder("<" if order == "II" else ">")).tobytes()
    if compression == DEFLATE:
        strip = zlib.compress(strip)
    height, width = samples.shape[:2]
    planes = 2 if alpha else 1
    entries = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [bits] * planes),
        259: (SHORT, [compression]),
        262: (SHORT, [photometric]),
        273: (LONG, [8]),
        277: (SHORT, [planes]),
        278: (LONG, [height]),
        279: (LONG, [len(strip)]),
        **({338: (SHORT, [2])} if alpha else {}),
        339: (SHORT, [2 if signed else 1] * planes),
    }
    end = "<" if order == "II" else ">"
    strip += b"\0" * (len(strip) % 2)
    directory = struct.pack(f"{end}H", len(entries))
    for tag, (kind, values) in entries.items():
        value = struct.pack(f"{end}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
        directory += struct.pack(f"{end}HHI", tag, kind, len(values)) + value.ljust(4, b"\0")
    header = order.encode() + struct.pack(f"{end}HI", 42, 8 + len(strip))
    return header + strip + directory + bytes(4)


def ramp(kind: str, photometric: int) -> np.ndarray:
    """Return a picture [20, 50] whose columns have, by tens, the five levels in this kind of sample."""
    dtype = np.dtype(kind)
    white = int(np.iinfo(dtype).max)
    values = [round(level / 255 * white) for level in LEVELS.tolist()]
    if photometric == 0:
        values = [white - value for value in values]
    return np.repeat(np.array(values, dtype), 10)[None].repeat(20, axis=0)


CASES = list(itertools.product(["u1", "i1", "u2", "i2", "u4", "i4"], ["II", "MM"], [0, 1], [PLAIN, DEFLATE]))


@pytest.mark.parametrize(("kind", "order", "photometric", "compression"), CASES)
def test_a_ramp_is_a_ramp_or_refused(kind: str, order: str, photometric: int, compression: int) -> None:
    data = tiff(ramp(kind, photometric), order, photometric, compression=compression)
    try:
        found = np.asarray(decode_picture(data))
    except UnsupportedPictureError as error:
        assert str(error) == UNSUPPORTED  # noqa: PT017
        assert (kind, order, photometric) in REFUSED or (kind, order, compression) in WRONG_IN_PILLOW
        return
    np.testing.assert_allclose(found[0, 5::10, 0], LEVELS, atol=2)
    assert (kind, order, photometric) not in REFUSED
    square, _ = decode_letterboxed(data, 50)
    np.testing.assert_allclose(square[25, 5::10, 0], LEVELS, atol=2)


REFUSED = {("u2", "MM", 0), ("u4", "MM", 1)} | {
    (kind, order, 0) for kind, order in itertools.product(["i1", "i2", "u4", "i4"], ["II", "MM"])
}
"""What Pillow does not know."""
WRONG_IN_PILLOW = {("i2", "MM", DEFLATE), ("i4", "MM", DEFLATE)}


@pytest.mark.parametrize("order", ["II", "MM"])
def test_deep_grey_with_alpha_is_refused_by_name(order: str) -> None:
    samples = np.stack([ramp("u2", 1)] * 2, axis=-1)
    with pytest.raises(UnsupportedPictureError, match="without alpha"):
        decode_picture(tiff(samples, order, 1, alpha=True))


@pytest.mark.parametrize("kind", ["i1", "i2", "i4"])
def test_negative_samples_are_black(kind: str) -> None:
    samples = np.full((4, 4), np.iinfo(kind).min, kind)
    samples[:, 2:] = -1
    assert not np.asarray(decode_picture(tiff(samples, "II", 1))).any()


def test_twelve_bits_in_sixteen_are_dark() -> None:
    """Nobody says that they are 12, and most pictures of 16 bits use all of them."""
    assert decode_picture(tiff(np.full((4, 4), 4095, np.uint16), "II", 1)).getpixel((0, 0)) == (15, 15, 15)


def test_twelve_bits_by_themselves_have_the_whole_range() -> None:
    """Two samples in three bytes; the first as in the file is black, the second white."""
    data = tiff(np.zeros((4, 4), np.uint16), "II", 1)
    data = data.replace(struct.pack("<HHII", 258, SHORT, 1, 16), struct.pack("<HHII", 258, SHORT, 1, 12))
    data = data[:8] + b"\x00\x0f\xff" * 8 + data[32:]
    assert np.asarray(decode_picture(data))[0, :, 0].tolist() == [0, 255, 0, 255]


def test_a_profile_stays() -> None:
    """It is applied to the levels."""
    image = Image.fromarray(ramp("u2", 1))
    file = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(file, "TIFF", icc_profile=profile)
    np.testing.assert_allclose(np.asarray(decode_picture(file.getvalue()))[0, 5::10, 0], LEVELS, atol=2)

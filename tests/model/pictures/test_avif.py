"""Sizes of an AVIF's frames, read before anything is decoded."""

import struct

import pytest
from PIL import Image

from model.pictures.avif import MOST_PIECES, CodedSize, _Bits, _sequence_size, coded_sizes
from model.pictures.decoding import decode_picture
from model.pictures.errors import PictureTooLargeError, UnreadablePictureError
from tests.model.picture_files import FILES, encode


def test_the_size_of_the_picture_and_of_its_transparency() -> None:
    assert coded_sizes(FILES["AVIF"]) == [CodedSize(128, 96)]
    transparent = Image.new("RGBA", (401, 300), (255, 0, 0, 40))
    assert coded_sizes(encode(transparent, "AVIF")) == [CodedSize(401, 300)] * 2


def test_an_animation_has_its_first_frame_as_a_still_picture() -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    assert data[8:12] == b"avis"
    assert coded_sizes(data) == [CodedSize(40, 30)]


def test_a_header_that_lies_about_the_size_does_not_help() -> None:
    """The frame has 2000 x 1000 pixels, the header says 64 x 64: the decoder would allocate for the frame."""
    data = encode(Image.new("L", (2000, 1000)), "AVIF")
    place = data.index(b"ispe") + 8
    lying = data[:place] + struct.pack(">II", 64, 64) + data[place + 8 :]
    assert coded_sizes(lying) == [CodedSize(2000, 1000)]
    with pytest.raises(PictureTooLargeError, match="2000x1000"):
        decode_picture(lying, max_pixels=1_000_000)


@pytest.mark.parametrize("cut", [20, 40, 100, 200])
def test_a_file_cut_short_has_no_sizes(cut: int) -> None:
    with pytest.raises(ValueError, match=r"box|values|longer"):
        coded_sizes(FILES["AVIF"][:cut])
    with pytest.raises(UnreadablePictureError):
        decode_picture(FILES["AVIF"][:cut])


def test_two_descriptions_are_refused_as_the_decoder_might_read_the_other() -> None:
    data = FILES["AVIF"]
    start = data.index(b"meta") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    with pytest.raises(ValueError, match="too many values"):
        coded_sizes(data + data[start : start + length])


def test_a_file_of_countless_boxes_is_refused() -> None:
    with pytest.raises(ValueError, match="pieces"):
        coded_sizes(FILES["AVIF"] + struct.pack(">I4s", 8, b"free") * MOST_PIECES)


def packed(*fields: tuple[int, int]) -> _Bits:
    """Pack values of so many bits each."""
    text = "".join(f"{value:0{bits}b}" for value, bits in fields)
    return _Bits(int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big"))


SIZE = ((11, 4), (10, 4), (1919, 12), (1079, 11))


@pytest.mark.parametrize(
    "fields",
    [
        ((0, 3), (1, 1), (1, 1), (4, 5)),
        ((0, 3), (0, 1), (0, 1), (0, 1), (0, 1), (0, 5), (0, 12), (4, 5)),
        ((0, 3), (0, 1), (0, 1), (0, 1), (0, 1), (0, 5), (0, 12), (9, 5), (1, 1)),
        ((0, 3), (0, 1), (0, 1), (1, 1), (1, 64), (1, 1), (1, 3), (2, 2), (0, 1), (0, 1), (0, 5), (0, 12), (4, 5)),
        (
            *((0, 3), (0, 1), (0, 1), (1, 1), (1, 64), (0, 1), (1, 1), (7, 5), (0, 42)),
            *((1, 1), (1, 5)),
            *((0, 12), (4, 5), (1, 1), (0, 17), (1, 1), (3, 4)),
            *((0, 12), (9, 5), (0, 1), (0, 1), (0, 1)),
        ),
    ],
    ids=["reduced", "plain", "tier", "equal intervals", "decoder model and two operating points"],
)
def test_every_form_of_a_sequence_header(fields: tuple[tuple[int, int], ...]) -> None:
    assert _sequence_size(packed(*fields, *SIZE)) == CodedSize(1920, 1080)


def test_a_sequence_header_that_ends_early() -> None:
    with pytest.raises(IndexError):
        _sequence_size(_Bits(b"\x18"))

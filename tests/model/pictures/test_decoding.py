from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from model.pictures.decoding import PADDING, decode_letterboxed, decode_picture, letterbox
from model.pictures.errors import PictureTooLargeError, UnreadablePictureError, UnsupportedPictureError
from tests.model.picture_files import FILES, corners, encode, quarters

PHOTO = Path(__file__).parents[3] / "docs" / "dog.jpg"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_every_accepted_type_decodes_to_rgb(kind: str) -> None:
    image = decode_picture(encode(quarters(), kind))

    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert corners(image) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quarters() if orientation == 1 else quarters().transpose(undo[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation

    data = encode(stored, kind, exif=exif)

    image = decode_picture(data)
    assert image.size == (64, 48)
    assert corners(image) == ["red", "green", "blue", "white"]
    assert not image.info
    square, frame = decode_letterboxed(data, 32)
    assert (frame.width, frame.height) == (64, 48)
    assert np.abs(square.astype(int) - letterbox(image, 32)[0]).max() < 60


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_damaged_exif_block_is_no_reason_to_refuse() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "somebody"
    data = encode(quarters(), "JPEG", exif=exif)
    start = data.index(b"Exif\0\0") + 6

    for damage in (b"\xff" * 8, b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08"):
        damaged = data[:start] + damage + data[start + len(damage) :]
        assert decode_picture(damaged).size in ((64, 48), (48, 64))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("1", "PNG"),
        ("L", "PNG"),
        ("P", "PNG"),
        ("CMYK", "TIFF"),
        ("YCbCr", "JPEG"),
        ("I;16", "PNG"),
        ("I", "TIFF"),
    ],
)
def test_other_modes_become_rgb(mode: str, kind: str) -> None:
    image = Image.new("RGB", (20, 10), "white").convert("L" if mode.startswith("I") else mode)
    if mode.startswith("I"):
        image = Image.fromarray(np.full((10, 20), *((0xFF77, np.uint16) if mode == "I;16" else (0x7FBB0000, np.int32))))

    decoded = decode_picture(encode(image, kind))

    assert decoded.mode == "RGB"
    assert (np.asarray(decoded) == 255).all()


def test_a_cmyk_jpeg_is_not_a_negative() -> None:
    assert decode_picture(encode(quarters().convert("CMYK"), "JPEG")).getpixel((40, 40)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_is_laid_over_white(mode: str) -> None:
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 10, 10))
    options: dict[str, Any] = {}
    if mode == "P":
        image = Image.new("P", (20, 10), 1)
        image.putpalette([0, 0, 0, 9, 9, 9])
        image.paste(0, (0, 0, 10, 10))
        options = {"transparency": 1}
    elif mode != "RGBA":
        image = image.convert("LA")

    decoded = decode_picture(encode(image, "PNG", **options))

    assert decoded.getpixel((5, 5)) == (0, 0, 0)
    assert decoded.getpixel((15, 5)) == (255, 255, 255)


def test_half_transparency_is_mixed_with_white() -> None:
    decoded = decode_picture(encode(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG"))

    assert decoded.getpixel((1, 1)) == (127, 127, 127)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    data = encode(quarters(), kind, save_all=True, append_images=[Image.new("RGB", (64, 48), "black")], duration=50)

    assert corners(decode_picture(data)) == ["red", "green", "blue", "white"]


def test_what_follows_a_jpeg_does_not_matter() -> None:
    film = b"\xff\xda\x00\x02" * 1000  # a phone's motion photo: a film after the picture

    decode_picture(FILES["JPEG"] + film)


# --- the letterbox


def test_letterbox_places_a_wide_picture_between_grey_bars() -> None:
    image = Image.new("RGB", (200, 100), (10, 20, 30))

    square, frame = letterbox(image, 64)

    assert square.shape == (64, 64, 3)
    assert square.dtype == np.uint8
    assert (square[16:48] == (10, 20, 30)).all()
    assert (square[:16] == PADDING).all()
    assert (square[48:] == PADDING).all()
    assert (frame.top, frame.left, frame.resized_width, frame.resized_height) == (16, 0, 64, 32)


@pytest.mark.parametrize("shape", [(300, 100), (100, 300), (1, 4000), (4000, 1), (64, 64), (7, 5), (3, 2)])
def test_letterbox_fits_every_shape(shape: tuple[int, int]) -> None:
    square, frame = letterbox(Image.new("RGB", shape, "black"), 64)

    black = np.argwhere((square == 0).all(axis=2))
    assert black.min(axis=0).tolist() == [frame.top, frame.left]
    assert (black.max(axis=0) + 1).tolist() == [
        frame.top + frame.resized_height,
        frame.left + frame.resized_width,
    ]


def test_a_box_in_the_square_is_where_it_was_in_the_picture() -> None:
    image = Image.new("RGB", (640, 360), "white")
    image.paste((255, 0, 0), (160, 80, 320, 240))

    square, frame = letterbox(image, 320)

    red = np.argwhere((square[..., 1] < 100) & (square[..., 0] > 200))
    (y1, x1), (y2, x2) = red.min(axis=0), red.max(axis=0) + 1
    box = frame.to_picture(np.array([[x1, y1, x2, y2]], np.float32))[0]
    assert box == pytest.approx([160, 80, 320, 240], abs=2)


def test_letterbox_refuses_other_modes() -> None:
    with pytest.raises(ValueError, match="not mode L"):
        letterbox(Image.new("L", (4, 4)), 32)


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("JPEG", (1600, 1203)),
        ("AVIF", (400, 300)),
        ("WEBP", (401, 300)),
        ("JPEG", (801, 800)),
        ("JPEG", (90, 50)),
        ("PNG", (400, 300)),
    ],
)
def test_decoding_into_the_input_agrees_with_decoding_in_full(kind: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC), kind)
    expected, expected_frame = letterbox(decode_picture(data), 96)

    square, frame = decode_letterboxed(data, 96)

    assert frame == expected_frame
    difference = np.abs(square.astype(int) - expected)
    assert difference.mean() < 1
    assert difference.max() <= 12


@pytest.mark.parametrize("share", [2.0, 3.5, 4.1, 7.1, 8.0, 15.0])
def test_a_photograph_decoded_into_the_input_is_within_two_grey_levels(share: float) -> None:
    data = PHOTO.read_bytes()
    size = round(768 / share)
    expected, frame = letterbox(decode_picture(data), size)

    square, _ = decode_letterboxed(data, size)

    inside = size * size / (frame.resized_width * frame.resized_height)
    assert np.abs(square.astype(int) - expected).mean() * inside < 2


def test_decoding_into_the_input_has_the_same_limits() -> None:
    with pytest.raises(PictureTooLargeError):
        decode_letterboxed(FILES["JPEG"], 64, max_pixels=1000)
    with pytest.raises(UnreadablePictureError):
        decode_letterboxed(FILES["JPEG"][:-100], 64)
    with pytest.raises(UnsupportedPictureError):
        decode_letterboxed(b"hello", 64)


def test_of_a_large_jpeg_only_what_is_needed_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[tuple[int, int]] = []
    load = JpegImageFile.load

    def watched(file: JpegImageFile) -> Any:
        loaded = load(file)
        decoded.append(file.size)
        return loaded

    data = encode(quarters(3200, 2400), "JPEG")
    monkeypatch.setattr(JpegImageFile, "load", watched)
    decode_letterboxed(data, 96)
    assert decoded[0] == (400, 300)


def test_without_its_plugin_a_heic_is_a_type_that_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(quarters(), "HEIF")
    assert decode_picture(data).size == (64, 48)
    monkeypatch.setattr("model.pictures.opening.HEIC", None)
    with pytest.raises(UnsupportedPictureError):
        decode_picture(data)

"""The names of picture files."""

import io

import pytest
from PIL import Image

from model.pictures.decoding import decode_picture
from model.pictures.opening import ACCEPTED_FORMATS
from model.pictures.suffixes import PICTURE_SUFFIXES, has_picture_suffix


def test_every_format_that_is_decoded_has_a_suffix() -> None:
    known = {form for suffix, form in Image.registered_extensions().items() if suffix in PICTURE_SUFFIXES}
    assert {*ACCEPTED_FORMATS} - {"HEIC"} <= known
    assert {".heic", ".heif"} <= set(PICTURE_SUFFIXES)


@pytest.mark.parametrize("suffix", [one for one in PICTURE_SUFFIXES if one not in {".heic", ".heif"}])
def test_what_pillow_writes_under_a_suffix_is_decoded(suffix: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(file, Image.registered_extensions()[suffix])
    assert decode_picture(file.getvalue()).size == (8, 6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.JPG", True), ("b/c.jfif", True), ("d.Tiff", True), ("jpg", False), (".jpg", False), ("e.txt", False)],
)
def test_names(name: str, expected: bool) -> None:
    assert has_picture_suffix(name) is expected

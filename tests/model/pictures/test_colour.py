"""Colour profiles and modes; what else becomes RGB is tested with `decode_picture`."""

import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from model.pictures.colour import MOST_PROFILE_BYTES, to_srgb
from model.pictures.decoding import decode_letterboxed, decode_picture
from tests.model.picture_files import encode


def swapped_profile() -> bytes:
    """A profile for pictures whose red channel is blue, and whose blue one is red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    entries = {profile[132 + 12 * n : 136 + 12 * n].decode(): 132 + 12 * n for n in range(count)}
    red, blue = entries["rXYZ"], entries["bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))


def red(mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (64, 48), (250, 0, 0)).convert(mode)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_profile_is_applied(kind: str) -> None:
    data = encode(red(), kind, icc_profile=swapped_profile())

    decoded = decode_picture(data)
    assert np.allclose(decoded.getpixel((5, 5)), (0, 0, 250), atol=6)  # type: ignore[arg-type]
    assert not decoded.info
    square, _ = decode_letterboxed(data, 32)
    assert np.allclose(square[16, 16], (0, 0, 250), atol=6)


def test_transparency_is_laid_over_white_before() -> None:
    image = Image.new("RGBA", (4, 4), (250, 0, 0, 0))
    image.putpixel((0, 0), (250, 0, 0, 255))
    decoded = decode_picture(encode(image, "PNG", icc_profile=swapped_profile()))
    assert np.allclose(decoded.getpixel((0, 0)), (0, 0, 250), atol=3)  # type: ignore[arg-type]
    assert decoded.getpixel((2, 2)) == (255, 255, 255)


@pytest.mark.parametrize(
    "profile",
    [b"", b"no profile", swapped_profile()[:200], swapped_profile() + b"\0" * MOST_PROFILE_BYTES],
    ids=["empty", "text", "cut", "huge"],
)
def test_a_profile_that_is_of_no_use_is_passed_over(profile: bytes) -> None:
    image = red()
    image.info["icc_profile"] = profile
    assert to_srgb(image).getpixel((0, 0)) == (250, 0, 0)


def test_so_is_one_for_another_kind_of_picture() -> None:
    image = Image.new("L", (4, 4), 100)
    image.info["icc_profile"] = swapped_profile()
    assert to_srgb(image).getpixel((0, 0)) == (100, 100, 100)


def test_the_usual_profile_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    image = red()
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    monkeypatch.setattr(ImageCms, "profileToProfile", never)
    assert to_srgb(image).getpixel((0, 0)) == (250, 0, 0)


def test_lab_becomes_rgb() -> None:
    lab = ImageCms.profileToProfile(
        red(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert np.allclose(to_srgb(lab).getpixel((0, 0)), (250, 0, 0), atol=6)  # type: ignore[arg-type]

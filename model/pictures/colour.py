"""From the colours a file holds to sRGB with 8 bits, on white where the picture is transparent."""

import io

import numpy as np
from PIL import Image, ImageCms

MOST_PROFILE_BYTES = 4_000_000
"""The largest colour profile that is used; those of printing presses have up to 3 MB."""

_PROFILE_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}
"""Pillow's modes, and what a profile for such pictures calls its colour space (ICC.1, section 7.2.6)."""

PLAIN_MODES = ("L", "RGB", "CMYK")
"""Modes in which a picture can be resized first and converted then, at a fraction of the cost."""


class UnsupportedSamplesError(ValueError):
    """Nobody says what is white in a picture, as with floating point samples, or its samples are not decoded right."""


def to_srgb(image: Image.Image) -> Image.Image:
    """Turn any mode into RGB, colours as a screen shows them, without the sender's metadata.

    Transparency is laid over white. Deeper samples lose their low bits. An embedded colour profile is applied; one
    that is damaged, or of another kind of picture, is passed over. Without a profile the colours are taken for sRGB.

    Raises:
        UnsupportedSamplesError: the samples are floating point numbers.
    """
    if image.mode == "F":
        raise UnsupportedSamplesError("floating point samples are not supported")
    profile = image.info.get("icc_profile")
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = Image.fromarray(np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8))
    elif image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer)
    elif image.mode not in _PROFILE_SPACES:
        image = image.convert("RGB")
    image = _converted(image, profile)
    image.info = {}  # Pillow would save it with what is drawn on this, even a colour profile of another mode
    return image


def _converted(image: Image.Image, profile: object) -> Image.Image:
    """Convert to sRGB: by the profile where it fits, else as Pillow does."""
    source: ImageCms.ImageCmsProfile | None = None
    if isinstance(profile, bytes) and len(profile) <= MOST_PROFILE_BYTES:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        except Exception:  # noqa: BLE001 - a picture is worth answering whatever its profile looks like
            source = None
    if source is None and image.mode == "LAB":
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    if source is None or _is_srgb(source) or source.profile.xcolor_space != _PROFILE_SPACES[image.mode]:
        return image if image.mode == "RGB" else image.convert("RGB")
    try:
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except Exception:  # noqa: BLE001
        return image.convert("RGB")
    assert converted is not None  # only a conversion in place gives none
    return converted


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Tell whether a profile calls itself sRGB, as most do, so that nothing needs to be converted."""
    return "sRGB" in (profile.profile.profile_description or "")

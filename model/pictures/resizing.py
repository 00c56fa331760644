"""Resizing, with the processor's vector instructions where they can be had."""

from math import nextafter

from PIL import Image
from PIL import __version__ as _pillow_version

Box = tuple[float, float, float, float]
"""The part of a picture that is resized: left, top, right and bottom in its pixels."""

try:
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
except ImportError:  # there are no wheels for Linux on ARM
    _INSTALLED = False
else:
    _INSTALLED = True

_KNOWN_PILLOWS = ("11", "12", "13")
"""Major releases of Pillow whose pictures cykooz.resizer finds in memory, by our tests. It looks there itself, so that
nothing is copied; in another release they may lie otherwise."""

VECTORISED = _INSTALLED and _pillow_version.partition(".")[0] in _KNOWN_PILLOWS
"""Whether vector instructions are used. Without them Pillow resizes, at a fifth of the speed."""

_MODES = ("L", "RGB", "CMYK")


def resized(image: Image.Image, size: tuple[int, int], box: Box | None = None) -> Image.Image:
    """Resize a picture: each new pixel is the mean of the old ones around it, weighted by a triangle.

    This is Pillow's `BILINEAR`; rounding may make a grey level of difference.

    Args:
        image: a picture of any mode.
        size: the new width and height.
        box: the part to resize; None for the whole.
    """
    if not VECTORISED or image.mode not in _MODES:
        return image.resize(size, Image.Resampling.BILINEAR, box=box)
    target = Image.new(image.mode, size)
    target.info = dict(image.info)
    options = ResizeOptions(ResizeAlg.convolution(FilterType.bilinear), use_alpha=False)
    if box is not None:
        left, top, right, bottom = box
        # A bit less, as left + (right - left) may be rounded to more than right.
        options.crop_box = CropBox(left, top, nextafter(right - left, 0), nextafter(bottom - top, 0))
    Resizer().resize_pil(image, target, options)  # made anew, as only one thread may use it
    return target

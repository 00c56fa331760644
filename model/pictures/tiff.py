"""TIFF's deep and signed grey samples, which Pillow gives as the numbers that the file holds, whatever they mean.

TIFF 6.0, sections 8 (PhotometricInterpretation, BitsPerSample) and 19 (SampleFormat).
"""

from typing import Final

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from model.pictures.colour import UnsupportedSamplesError

_BITS, _COMPRESSION, _PHOTOMETRIC, _FORMAT = 258, 259, 262, 339
_UNCOMPRESSED: Final = 1
_WHITE_IS_ZERO: Final = 0
_SIGNED: Final = 2
_LIGHT: Final = 64  # of signed 8 bits: doubled and one more, as 127 has to become 255

UNSUPPORTED: Final = (
    "this kind of TIFF samples is not supported; save it as RGB of 8 or 16 bits, or as grey of 8 or 16 bits where 0 is "
    "black, without alpha"
)
"""What is said of samples that Pillow does not know, or decodes wrong."""


def is_unknown_layout(error: Exception) -> bool:
    """Tell whether Pillow refused a TIFF because its samples are of a kind that it does not know."""
    return isinstance(error, SyntaxError) and "unknown pixel mode" in str(error)


def as_8_bits(file: TiffImageFile) -> Image.Image:
    """Return a loaded TIFF with grey samples of 8 bits: black is the least value that means light, white the greatest.

    Samples are scaled from the full range of their bits, so 12 bits stored in 16 come out dark. Of signed samples those
    below 0 are black. Colours and floating point samples are returned as they are.

    Raises:
        UnsupportedSamplesError: of compressed big-endian files Pillow swaps the bytes of signed samples once too often.
    """
    bits = file.tag_v2.get(_BITS, (1,))[0]
    signed = file.tag_v2.get(_FORMAT, (1,))[0] == _SIGNED
    if not (file.mode.startswith("I") or (file.mode == "L" and signed)):
        return file
    if file.mode == "I" and file.tag_v2.prefix == b"MM" and file.tag_v2.get(_COMPRESSION, 1) != _UNCOMPRESSED:
        raise UnsupportedSamplesError(UNSUPPORTED)
    samples = np.asarray(file)
    if file.mode == "L":
        samples = samples.view(np.int8)
    elif file.mode == "I" and not signed:
        samples = samples.view(np.uint32)
    levels = np.maximum(samples, 0)
    spare = bits - signed - 8  # bits beyond the eight that are kept
    levels = levels >> spare if spare >= 0 else levels.astype(np.uint8) * 2 + (levels >= _LIGHT)
    image = Image.fromarray(levels.astype(np.uint8))
    if file.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        image = Image.eval(image, lambda level: 255 - level)
    image.info = dict(file.info)
    return image

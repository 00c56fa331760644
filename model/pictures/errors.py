"""What may be wrong with a picture.

PictureError
├── UnsupportedPictureError    the bytes are not one of the accepted picture types
├── UnreadablePictureError     they claim to be, but are empty, damaged or cut short
└── PictureTooLargeError       decoding would take more pixels or scans than allowed
"""


class PictureError(ValueError):
    """A picture that cannot be used; the message says why in one sentence meant for whoever sent it."""


class UnsupportedPictureError(PictureError):
    """The bytes are not a picture of an accepted type."""


class UnreadablePictureError(PictureError):
    """The bytes claim to be a picture but cannot be decoded in full."""


class PictureTooLargeError(PictureError):
    """Decoding the picture would take more than the limit."""

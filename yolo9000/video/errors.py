"""What can be wrong with a video."""


class VideoError(ValueError):
    """A video cannot be read or written; the message says which and why, in one sentence."""


class VideoMissingError(VideoError):
    """PyAV is not installed."""

    def __init__(self) -> None:
        super().__init__("videos need PyAV: pip install 'yolo9000[video]'")

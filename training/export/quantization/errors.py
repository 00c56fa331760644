"""What can go wrong."""


class QuantizationError(RuntimeError):
    """The quantised network answers too badly; no file was written."""

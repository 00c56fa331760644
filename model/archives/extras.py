"""Libraries that come with an extra: imported when they are needed, with a clear sentence where they are missing."""

from importlib import import_module
from types import ModuleType

from model.archives.errors import MissingExtraError


def library(name: str, extra: str, purpose: str) -> ModuleType:
    """Import a library.

    Args:
        name: the module.
        extra: which extra of this package brings it.
        purpose: what it is needed for, as the sentence's subject.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs {name}, which is not installed: pip install 'yolo9000[{extra}]' ({error})"
        ) from error

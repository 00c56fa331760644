"""Reading through a network that may fail for a while."""

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from model.archives.locations import Location
from model.archives.parquets import UnusableColumnsError, UnusableFileError
from model.archives.tars import DamagedArchiveError

logger = logging.getLogger(__name__)

PAUSES: Final = (1.0, 4.0, 15.0)
"""Seconds between tries."""

FINAL: Final = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    DamagedArchiveError,
    UnusableFileError,
    UnusableColumnsError,
)
"""What another try would not change."""

Result = TypeVar("Result")


class ShardError(ValueError):
    """A shard cannot be had; the message says which and why."""


def patiently(location: Location, name: str, read: Callable[[], Result]) -> Result:
    """Return what `read` reads of an archive; try again where a network fails, as a disk's answer is final.

    Args:
        location: of the archives.
        name: of the archive, for messages.
        read: reads it from its beginning.

    Raises:
        ShardError: it is not there, or cannot be read and goes on so.
        DamagedArchiveError, UnusableFileError, UnusableColumnsError: as `read` raises them.
    """
    for pause in (*PAUSES, None):
        try:
            return read()
        except FINAL as error:
            if isinstance(error, OSError):
                raise _failed(location, name, error) from error
            raise
        except Exception as error:  # the libraries behind fsspec raise what they like
            if pause is None or location.local:
                raise _failed(location, name, error) from error
            logger.warning(
                "%s/%s: the shard could not be read (%s); once more in %g s", location.url, name, _words(error), pause
            )
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _failed(location: Location, name: str, error: Exception) -> ShardError:
    return ShardError(f"{location.url}/{name}: the shard cannot be read ({_words(error)})")


def _words(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__

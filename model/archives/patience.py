"""Reading through a network that may fail for a while."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from model.archives.locations import Location

PAUSES: Final = (1.0, 4.0, 15.0)
"""Seconds between tries where a network fails."""

FINAL: Final = (FileNotFoundError, PermissionError, IsADirectoryError)
"""What another try would not change."""

Result = TypeVar("Result")


def patiently(
    location: Location,
    read: Callable[[], Result],
    *,
    final: tuple[type[Exception], ...] = (),
    told: Callable[[Exception, float], object] = lambda *_: None,
) -> Result:
    """Return what `read` returns; try again where a network fails. A disk's answer is final.

    Args:
        location: what is read from.
        read: reads, from the beginning.
        final: further exceptions that another try would not change.
        told: told of each failure that is followed by another try, and in how many seconds that comes.

    Raises:
        Exception: what `read` raised last; the libraries behind fsspec raise what they like.
    """
    lasting: tuple[type[Exception], ...] = (*FINAL, *final)
    for pause in PAUSES:
        try:
            return read()
        except lasting:
            raise
        except Exception as error:  # see above
            if location.local:
                raise
            told(error, pause)
            time.sleep(pause)
    return read()


def words(error: Exception) -> str:
    """Return what an exception says, in as few words as it has."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__

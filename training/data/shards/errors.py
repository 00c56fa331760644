"""What can be wrong with shards."""

import logging
from collections.abc import Callable
from typing import TypeVar

from model.archives.locations import Location
from model.archives.parquets import UnusableColumnsError, UnusableFileError
from model.archives.patience import patiently, words
from model.archives.tars import DamagedArchiveError

logger = logging.getLogger(__name__)

UNUSABLE = (DamagedArchiveError, UnusableFileError, UnusableColumnsError)
"""What an archive itself is to blame for."""

Result = TypeVar("Result")


class ShardError(ValueError):
    """A shard cannot be had; the message says which and why."""


def read_patiently(location: Location, name: str, read: Callable[[], Result]) -> Result:
    """Return what `read` reads of an archive; try again, and tell of it, where a network fails.

    Args:
        location: of the archives.
        name: of the archive.
        read: reads it from its beginning.

    Raises:
        ShardError: it is not there, or cannot be read and goes on so.
        DamagedArchiveError, UnusableFileError, UnusableColumnsError: as `read` raises them.
    """

    def told(error: Exception, pause: float) -> None:
        logger.warning(
            "%s/%s: the shard could not be read (%s); once more in %g s", location.url, name, words(error), pause
        )

    try:
        return patiently(location, read, final=UNUSABLE, told=told)
    except UNUSABLE:
        raise
    except Exception as error:
        raise ShardError(f"{location.url}/{name}: the shard cannot be read ({words(error)})") from error

"""Locks between processes, which a killed one no longer holds. For systems with `flock`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock.

    Args:
        path: a folder, or a file, which is made where there is none.
        wait: until nobody else holds it.

    Raises:
        BlockingIOError: another process holds it, and `wait` is not asked for.
        OSError: the file system has no locks, or the file cannot be made.
    """
    import fcntl  # there is none on Windows

    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)

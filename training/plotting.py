"""What is used of matplotlib, which by itself would leave a cache of the machine's fonts in the home folder.

Whoever has set MPLCONFIGDIR has chosen a folder for that; else it is one that goes with the process.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Final

FOLDER: Final = "MPLCONFIGDIR"
"""The variable that tells matplotlib, while it is imported, where its files are."""


@contextmanager
def _nothing_left_behind() -> Iterator[None]:
    if FOLDER in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="yolo9000-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]


logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of every cache it makes
with _nothing_left_behind():
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Axes", "Figure", "mpl"]

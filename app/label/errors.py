"""What can be wrong with a labelling run as a whole, beside `model.archives.errors`.

A single picture's fault is no error: it is recorded.
"""

from model.archives.errors import ArchiveError


class WorkError(ArchiveError):
    """The work cannot go on: the disk is full, the network is down, processes keep dying."""

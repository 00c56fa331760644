"""What can be wrong with a labelling run as a whole. A single picture's fault is none of these: it is recorded.

LabelError
├── MissingExtraError   a library of one of the extras is not installed
├── SourceError         the source is not there, cannot be listed, or holds no pictures
├── OutputError         the output folder is another's, is in use, or was begun otherwise
└── WorkError           the work cannot go on: the disk is full, the network is down, processes keep dying
"""


class LabelError(ValueError):
    """A run cannot begin or go on; the message says why in one sentence."""


class MissingExtraError(LabelError):
    """A library of an extra is not installed."""


class SourceError(LabelError):
    """The source is not there, cannot be listed, or holds no pictures."""


class OutputError(LabelError):
    """The output folder is another's, is in use, or was begun otherwise."""


class WorkError(LabelError):
    """The work cannot go on."""

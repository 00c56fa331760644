"""What can be wrong with an archive of pictures as a whole.

ArchiveError
├── MissingExtraError   a library of one of the extras is not installed
├── SourceError         it is not there, cannot be listed, or holds no pictures
└── OutputError         a folder to write to is another's, is in use, or was begun otherwise
"""


class ArchiveError(ValueError):
    """An archive cannot be read or written; the message says why in one sentence."""


class MissingExtraError(ArchiveError):
    """A library of an extra is not installed."""


class SourceError(ArchiveError):
    """It is not there, cannot be listed, or holds no pictures."""


class OutputError(ArchiveError):
    """A folder to write to is another's, is in use, or was begun otherwise."""

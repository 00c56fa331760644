"""What can be wrong with files of darknet.

DarknetError
├── InvalidCfgError        a cfg that is damaged, or asks for what cannot be imported
├── InvalidWeightsError    a weights file that does not fit its network
├── InvalidLabelsError     a file of labels, names or a tree that cannot be used
└── DownloadError          a weights file that could not be fetched
"""


class DarknetError(ValueError):
    """A file that cannot be used; the message says which, where in it, and why."""


class InvalidCfgError(DarknetError):
    """A cfg that is damaged, or asks for what cannot be imported."""


class InvalidWeightsError(DarknetError):
    """A weights file that does not fit its network; the message says from which layer on."""


class InvalidLabelsError(DarknetError):
    """A file of labels, names or a tree that cannot be used."""


class DownloadError(DarknetError):
    """A weights file that could not be fetched; the message says from where and why."""

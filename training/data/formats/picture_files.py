"""Which files of a folder are pictures, and a word about those that are not."""

import logging
from collections import Counter
from pathlib import Path

from model.pictures.suffixes import has_picture_suffix
from training.data.formats.detection_set import some_of

logger = logging.getLogger(__name__)


def list_pictures(folder: Path, *, deep: bool = False, beside: frozenset[str] = frozenset()) -> list[Path]:
    """Return the picture files of a folder, sorted; log how many other files there are, hidden ones aside.

    Args:
        folder: to look through.
        deep: look through the folders within it, too.
        beside: suffixes of other files that belong there, in lower case.
    """
    files = [path for path in (folder.rglob("*") if deep else folder.iterdir()) if not path.name.startswith(".")]
    found = sorted(path for path in files if has_picture_suffix(path.name))
    others = [path for path in files if not has_picture_suffix(path.name) and path.suffix.lower() not in beside]
    kinds = Counter(path.suffix.lower() or "without a suffix" for path in others if not path.is_dir())
    if kinds:
        named = some_of([f"{count} {suffix}" for suffix, count in sorted(kinds.items())])
        logger.warning("%s: skipped %d files without a picture's suffix: %s", folder, kinds.total(), named)
    folders = sum(path.is_dir() for path in others)
    if folders and not deep:
        logger.warning("%s: skipped %d folders in it", folder, folders)
    return found

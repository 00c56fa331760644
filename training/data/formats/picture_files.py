"""Which files of a folder are pictures, a word about those that are not, and which one a name means."""

import logging
from collections import Counter, defaultdict
from pathlib import Path, PurePath, PureWindowsPath

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


class PictureFinder:
    """Finds the pictures that annotations name, though many programs name them inexactly.

    A name may lack its ending or have another one (`a.png` was stored again as `a.jpg`), and may begin with folders of
    the machine it was written on.

    Args:
        folder: of the pictures.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stems: dict[Path, dict[str, list[Path]]] = {}
        self._otherwise: list[str] = []

    def find(self, *names: str) -> Path | None:
        """Return the file that the first of some names means that means one, or None."""
        if (self._folder / names[0]).is_file():
            return self._folder / names[0]
        for name in names:
            for place in dict.fromkeys((PurePath(name), PurePath(PureWindowsPath(name).name))):
                found = self._like(place)
                if found is not None:
                    self._otherwise.append(f"{names[0]} is {found.name}")
                    return found
        return None

    def remarks(self) -> list[str]:
        """Say how many pictures were found under another name, and which were first; nothing if there are none."""
        if not self._otherwise:
            return []
        return [f"found {len(self._otherwise)} pictures under another name: {some_of(self._otherwise)}"]

    def _like(self, place: PurePath) -> Path | None:
        """Return the file of this name, else the only picture of this name but for its ending."""
        path = self._folder / place
        if path.is_file():
            return path
        folder = path.parent
        if folder not in self._stems:
            stems = defaultdict(list)
            for one in sorted(folder.iterdir()) if folder.is_dir() else ():
                if has_picture_suffix(one.name) and one.is_file():
                    stems[one.stem].append(one)
            self._stems[folder] = stems
        alike = self._stems[folder].get(path.name) or self._stems[folder].get(path.stem) or []
        return alike[0] if len(alike) == 1 else None

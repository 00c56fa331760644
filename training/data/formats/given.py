"""What one entry of a command line stands for: a set, or the two that a data.yaml or an export names."""

from pathlib import Path
from typing import NamedTuple

from training.data.formats.archives import opened
from training.data.formats.layouts.data_yaml import Split
from training.data.formats.layouts.exports import find_parts, is_split
from training.data.formats.read import locate


class GivenSet(NamedTuple):
    """A set.

    Attributes:
        name: to tell it by.
        annotations: or the folder with a folder of pictures for each class.
        pictures: the folder of its pictures; None where the annotations say it.
        split: the part of an export or a data.yaml.
        boxed: whether it has boxes.
    """

    name: str
    annotations: Path
    pictures: Path | None = None
    split: Split = "train"
    boxed: bool = True


def sets_given(given: str, data: Path) -> list[GivenSet]:
    """Return what an entry stands for.

    Args:
        given: see `training.data.formats.read.locate`; or a folder with a folder of pictures for each class, which may
            be a zip file.
        data: see there.

    Raises:
        InvalidDatasetError: a zip file cannot be unpacked, or a data.yaml names neither part.
    """
    annotations, pictures = locate(given, data)
    if pictures is not None:
        return [GivenSet(given, annotations, pictures)]
    parts = find_parts(annotations)
    if not parts:
        folder = opened(annotations)
        return [GivenSet(str(folder), folder, boxed=False)]
    if len(parts) > 1 and not is_split(parts):
        return [GivenSet(given, *parts["train"])]
    return [GivenSet(f"{given}, {split}", *part, split) for split, part in parts.items()]

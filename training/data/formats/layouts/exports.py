"""Finds the annotations in a folder as annotation programs and public sets leave it, so that nobody has to name them.

| Where | What it is |
|---|---|
| data.yaml | YOLO: ultralytics, Roboflow, CVAT, Label Studio's with a data.yaml |
| SPLIT/_annotations.coco.json | COCO, Roboflow |
| annotations/instances_SPLIT*.json and images/SPLIT*, or SPLIT* | COCO itself, CVAT |
| ImageSets/Main/SPLIT.txt and JPEGImages | PASCAL VOC itself, CVAT |
| SPLIT/*.xml beside the pictures | VOC, Roboflow |
| obj.names and obj_SPLIT_data | YOLO 1.1, CVAT |
| classes.txt and images | YOLO, Label Studio |
| result.json | COCO, Label Studio |
| *.xml beside the pictures | VOC, labelImg |

What names no split is both.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from training.data.formats.archives import opened
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.layouts.data_yaml import ALSO, Split, is_yaml, splits_of

SPLITS: Final[tuple[Split, ...]] = ("train", "val")
UNSPLIT: Final = ("default", "trainval")
"""What a part is called that is not split."""


class Part(NamedTuple):
    """The annotations of a part of an export, and the folder of its pictures; None where a data.yaml says it."""

    annotations: Path
    pictures: Path | None


def is_split(parts: Mapping[Split, Part]) -> bool:
    """Tell whether `train` and `val` of an export are two parts, and not the same one twice."""
    return len(parts) > 1 and (len(set(parts.values())) > 1 or is_yaml(parts["train"].annotations))


def find_parts(place: Path) -> dict[Split, Part]:
    """Return the parts `train` and `val` of an export, or of a data.yaml; none where it is no export that is known.

    Args:
        place: the export's folder or zip file, or a data.yaml.

    Raises:
        InvalidDatasetError: a zip file cannot be unpacked, or a data.yaml names neither.
    """
    if is_yaml(place):
        return dict.fromkeys(splits_of(place), Part(place, None))
    folder = opened(place)
    for named in (_yaml, _roboflow_coco, _coco, _voc, _roboflow_voc, _darknet):
        found = {split: part for split in SPLITS if (part := named(folder, split)) is not None}
        if found:
            return found
    for unsplit in (_classes, _result, _beside):
        if (part := unsplit(folder)) is not None:
            return dict.fromkeys(SPLITS, part)
    return {}


def find_part(folder: Path, split: Split) -> Part:
    """Return a part of an export, given its folder or zip file.

    Raises:
        InvalidDatasetError: it is no export that is known, or has no such part; or see `find_parts`.
    """
    folder = opened(folder)
    parts = find_parts(folder)
    if not parts:
        raise InvalidDatasetError(
            f"{folder}: holds no annotations where exports have them, such as data.yaml, train/_annotations.coco.json, "
            f"annotations/instances_train.json or ImageSets/Main/train.txt; give them as ANNOTATIONS:PICTURES"
        )
    if split not in parts:
        raise InvalidDatasetError(f"{folder}: has no part `{split}`, but {' and '.join(parts)}")
    return parts[split]


def _names(split: Split) -> Iterator[str]:
    """Yield what a split may be called, likeliest first."""
    yield from (split, *ALSO.get(split, ()), *UNSPLIT)


def _yaml(folder: Path, split: Split) -> Part | None:
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        path = folder / name
        if path.is_file():
            return Part(path, None) if split in splits_of(path) else None
    return None


def _roboflow_coco(folder: Path, split: Split) -> Part | None:
    for name in _names(split):
        path = folder / name / "_annotations.coco.json"
        if path.is_file():
            return Part(path, path.parent)
    return None


def _coco(folder: Path, split: Split) -> Part | None:
    """COCO's are annotations/instances_val2017.json and val2017, or images/val2017."""
    for name in _names(split):
        for path in sorted((folder / "annotations").glob(f"instances_{name}*.json")):
            part = path.stem.removeprefix("instances_")
            for place in (folder / "images" / part, folder / part, folder / "images", folder):
                if place.is_dir():
                    return Part(path, place)
    return None


def _voc(folder: Path, split: Split) -> Part | None:
    for name in _names(split):
        path = folder / "ImageSets/Main" / f"{name}.txt"
        if path.is_file():
            return Part(path, folder / "JPEGImages")
    return None


def _roboflow_voc(folder: Path, split: Split) -> Part | None:
    for name in _names(split):
        part = _beside(folder / name)
        if part is not None:
            return part
    return None


def _darknet(folder: Path, split: Split) -> Part | None:
    for name in _names(split):
        pictures = folder / f"obj_{name}_data"
        if pictures.is_dir() and (folder / "obj.names").is_file():
            return Part(folder / "obj.names", pictures)
    return None


def _classes(folder: Path) -> Part | None:
    path, pictures = folder / "classes.txt", folder / "images"
    return Part(path, pictures) if path.is_file() and pictures.is_dir() else None


def _result(folder: Path) -> Part | None:
    path = folder / "result.json"
    return Part(path, folder) if path.is_file() else None


def _beside(folder: Path) -> Part | None:
    return Part(folder, folder) if any(folder.glob("*.xml")) else None

"""Reads detection sets in PASCAL VOC's layout: an XML file for each picture.

The layout is that of the VOC2012 development kit. Its pixels count from 1 and a box holds its last one, so xmin 1 and
xmax W make a box as wide as the picture: in our coordinates x1 is xmin - 1 and x2 is xmax. What is `difficult` is kept
apart, for VOC's way of scoring leaves it out.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse

from model.files.text import read_text
from model.wordtree import WordTree
from training.data.formats.detection_set import (
    ClippedPicture,
    DetectionSet,
    InvalidDatasetError,
    Refuse,
    clip_picture,
    gather,
    refuse_set,
)
from training.data.formats.label_map import categories_of
from training.data.formats.picture_files import PictureFinder
from training.data.formats.picture_headers import sizes_of


class _Object(NamedTuple):
    name: str
    corners: tuple[float, float, float, float]
    difficult: bool


class _Record(NamedTuple):
    source: Path
    picture: Path
    size: tuple[int, int] | None
    objects: tuple[_Object, ...]


def read_voc(
    annotations: Path,
    pictures: Path,
    tree: WordTree,
    label_map: Mapping[str, str] | None = None,
    refuse: Refuse = refuse_set,
) -> DetectionSet:
    """Read a detection set.

    Args:
        annotations: the folder of XML files, with those in folders within; or one of the kit's lists,
            ImageSets/Main/NAME.txt, whose first word of each line names a file in Annotations/.
        pictures: the folder of the pictures.
        tree: what the nodes of the answer index.
        label_map: the node's id of each class name; without one the names must be ids.
        refuse: what to do about a file, an object, a picture or a class that cannot be used.

    Raises:
        InvalidDatasetError: a file cannot be read or is not such an XML, a picture is missing, or a class has no node.
    """
    finder = PictureFinder(pictures)
    records = [record for path in _files(annotations) if (record := _read(path, pictures, finder, refuse)) is not None]
    sizes = sizes_of(annotations, [one.picture for one in records], [one.size for one in records], refuse)
    names = sorted({thing.name for record in records for thing in record.objects})
    categories = categories_of(names, tree, label_map, annotations, refuse=refuse)
    nodes = {name: category.node for name, category in categories.items()}
    clipped = [_clipped(record, size, nodes) for record, size in zip(records, sizes, strict=True) if size is not None]
    return gather(
        annotations,
        annotations.stem,
        clipped,
        list(categories.values()),
        "xmin, ymin, xmax, ymax in pixels",
        finder.remarks(),
        refuse,
        pictures,
    )


def _files(annotations: Path) -> Sequence[Path]:
    if annotations.is_dir():
        found = sorted(annotations.rglob("*.xml"))
        if not found:
            raise InvalidDatasetError(f"{annotations}: holds no XML file; give the folder of the annotations")
        return found
    try:
        stems = [line.split()[0] for line in read_text(annotations).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDatasetError(
            f"{annotations}: cannot be read ({error}); give the folder of the XML files or a list of their names"
        ) from error
    if not stems:
        raise InvalidDatasetError(f"{annotations}: lists no picture")
    folder = annotations.parent.parent.parent / "Annotations"
    return [folder / f"{stem}.xml" for stem in stems]


def _read(path: Path, pictures: Path, finder: PictureFinder, refuse: Refuse) -> _Record | None:
    """Read a file, or return None if it cannot be used."""
    try:
        root = _root(path)
        picture = _picture(path, root, pictures, finder)
    except InvalidDatasetError as error:
        refuse(error)
        return None
    things = []
    for number, element in enumerate(root.findall("object"), start=1):
        try:
            things.append(_object(path, number, element))
        except InvalidDatasetError as error:
            refuse(error)
    return _Record(path, picture, _size(root), tuple(things))


def _root(path: Path) -> Element:
    try:
        root = parse(path, forbid_dtd=True).getroot()
        assert root is not None  # what was parsed has one
    except OSError as error:
        raise InvalidDatasetError(
            f"{path}: cannot be read ({error.strerror}); every picture has such a file"
        ) from error
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise InvalidDatasetError(f"{path}: is not XML ({error}); export the file again") from error
    return root


def _picture(path: Path, root: Element, pictures: Path, finder: PictureFinder) -> Path:
    names = [name for name in ((root.findtext("filename") or "").strip(), path.stem) if name]
    picture = finder.find(*names)
    if picture is None:
        raise InvalidDatasetError(
            f"{path}: its picture {pictures / names[0]} is not there; fetch it, or remove the XML file"
        )
    return picture


def _object(path: Path, number: int, element: Element) -> _Object:
    where = f"object {number}: "
    sides = [_number(path, element, f"bndbox/{side}", where) for side in ("xmin", "ymin", "xmax", "ymax")]
    return _Object(
        name=" ".join(_text(path, element, "name", where).split()),
        corners=(sides[0] - 1, sides[1] - 1, sides[2], sides[3]),
        difficult=element.findtext("difficult", "0").strip() == "1",
    )


def _size(root: Element) -> tuple[int, int] | None:
    """Return the width and height that are written down; None where there are none, as some programs write 0."""
    try:
        width, height = (int(root.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _number(path: Path, element: Element, name: str, where: str = "") -> float:
    text = _text(path, element, name, where)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidDatasetError(f"{path}: {where}<{name}> is {text!r}; write a number of pixels")
    return value


def _text(path: Path, element: Element, name: str, where: str = "") -> str:
    text = (element.findtext(name) or "").strip()
    if not text:
        raise InvalidDatasetError(f"{path}: {where}there is no <{name}>, or nothing in it; put the record right")
    return text


def _clipped(record: _Record, size: tuple[int, int], nodes: Mapping[str, int]) -> ClippedPicture:
    return clip_picture(
        record.picture,
        size,
        np.array([thing.corners for thing in record.objects], np.float64).reshape(-1, 4),
        np.array([nodes[thing.name] for thing in record.objects], np.int32),
        [f"{record.source.name}, object {number}" for number in range(1, len(record.objects) + 1)],
        difficult=np.array([thing.difficult for thing in record.objects], bool),
    )

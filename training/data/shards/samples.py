"""What an archive of training pictures holds: pictures, and what is labelled on them.

Tar archives are WebDataset's: members of one name up to the first dot are one sample. Of a picture `a/b.jpg` the label
is in `a/b.cls` (a text) or under `label` in `a/b.json`; else it is the name of its folder, `a`; else that of the
archive, as ImageNet comes in one archive for each class. Boxes are under `annotations` in `a/b.json`, as COCO has them:
`bbox` is x, y, width, height in pixels, `category` a class, `iscrowd` 0 or 1.

Parquet files are Hugging Face's: a column of pictures, `label`, and `objects` with lists `bbox` and `category`. Numbers
stand for the names of the schema's ClassLabel.

The bytes of a picture have a place in what their archive is once it is unpacked: the archive itself if it is a plain
tar, else all pictures one after the other.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from model.archives.kinds import PARQUETS, TARS
from model.archives.parquets import Columns, RowGroups, columns_of, opened, rows_of
from model.archives.tars import TarPictures, is_compressed
from model.pictures.suffixes import has_picture_suffix

MOST_BYTES: Final = 256 << 20
"""Of a picture. No camera's has as many; what has would take a worker's memory."""

LABELS: Final = (".cls", ".json")


class BoxRecord(BaseModel):
    """A box, as COCO has it: x, y, width, height in pixels."""

    model_config = ConfigDict(frozen=True)

    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    category: str | int
    iscrowd: bool = False


class Sample(NamedTuple):
    """A picture, and what is labelled on it.

    Attributes:
        name: of the picture in its archive.
        offset: where its bytes begin.
        data: its bytes.
        label: its class; None where only the archive tells.
        boxes: None where nobody drew any.
    """

    name: str
    offset: int
    data: bytes
    label: str | None
    boxes: tuple[BoxRecord, ...] | None = None


class Fault(NamedTuple):
    """What cannot be used, and why."""

    name: str
    reason: str


class _Labels(BaseModel):
    """What a JSON member may say; what else it says is left alone."""

    model_config = ConfigDict(extra="ignore")

    label: str | int | None = None
    annotations: tuple[BoxRecord, ...] | None = None


class _Member(NamedTuple):
    name: str
    offset: int
    data: bytes


def tar_samples(file: BinaryIO, name: str) -> Iterator[Sample | Fault]:
    """Go through an archive. Of a damaged one the last sample before the damage is left out: it may lack its labels.

    Args:
        file: opened.
        name: of the archive.

    Raises:
        DamagedArchiveError: it is damaged or cut short at some place.
        OSError: the disk or the network failed.
    """
    packed = is_compressed(name)
    unpacked = 0
    for _, members in groupby(_members(file, name), lambda member: _key(member.name)):
        for one in _samples(list(members)):
            if isinstance(one, Sample) and packed:
                yield one._replace(offset=unpacked)
                unpacked += len(one.data)
            else:
                yield one


def parquet_samples(file: BinaryIO, part: RowGroups, picture_column: str | None) -> Iterator[Sample | Fault]:
    """Go through a part of a Parquet file.

    Args:
        file: opened.
        part: which row groups.
        picture_column: the column of the pictures; None: the only one that can be.

    Raises:
        UnusableFileError, UnusableColumnsError: it is damaged, or has no pictures.
        OSError: the disk or the network failed.
    """
    parquet = opened(file)
    schema = parquet.schema_arrow
    columns = Columns(columns_of(schema, picture_column, None).picture, None)
    others = [one for one in ("label", "objects") if one in schema.names]
    names = _class_names(schema.metadata or {})
    unpacked, row = 0, part.row
    for found in rows_of(parquet, part, columns, others):
        told = dict(zip(others, found.others, strict=True))
        for number, data in enumerate(found.pictures):
            name = f"{row}/{number}" if found.several else str(row)
            if data is None:
                yield Fault(name, "the row has no bytes")
                continue
            try:
                label, boxes = _of_row(told, names)
            except (ValidationError, ValueError, TypeError, IndexError) as error:
                yield Fault(name, f"its labels cannot be read: {_short(error)}")
            else:
                yield Sample(name, unpacked, data, label, boxes)
                unpacked += len(data)
        row += 1


def archive_class(name: str) -> str:
    """Return the class that an archive's own name tells: it without folders and endings."""
    last = PurePosixPath(name).name
    for ending in sorted((*TARS, *PARQUETS), key=len, reverse=True):
        if last.lower().endswith(ending):
            return last[: -len(ending)]
    return last


def _members(file: BinaryIO, name: str) -> Iterator[_Member | Fault]:
    archive = TarPictures(file, name, wanted=_wanted)
    for member in archive:
        if not member.isreg():
            yield Fault(member.name, "it is no file but a link or a device")
        elif member.size > MOST_BYTES:
            yield Fault(member.name, f"it has {member.size} bytes, more than the limit of {MOST_BYTES}")
        else:
            yield _Member(member.name, member.offset_data, archive.read(member))


def _wanted(name: str) -> bool:
    return has_picture_suffix(name) or name.lower().endswith(LABELS)


def _key(name: str) -> str:
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def _samples(members: Sequence[_Member | Fault]) -> Iterator[Sample | Fault]:
    """Yield the samples of members with one key: one with what is labelled on it, or any number of bare pictures."""
    yield from (one for one in members if isinstance(one, Fault))
    pictures = [one for one in members if isinstance(one, _Member) and has_picture_suffix(one.name)]
    beside = {
        one.name.rpartition(".")[2].lower(): one.data
        for one in members
        if isinstance(one, _Member) and not has_picture_suffix(one.name)
    }
    if beside and len(pictures) > 1:  # b.jpg beside b.mask.png
        plain = [one for one in pictures if one.name.rpartition("/")[2].count(".") == 1]
        if len(plain) != 1:
            yield Fault(pictures[0].name, "its labels could be those of several pictures")
            return
        pictures = plain
    for picture in pictures:
        try:
            label, boxes = _of_members(beside)
        except (ValidationError, UnicodeDecodeError) as error:
            yield Fault(picture.name, f"its labels cannot be read: {_short(error)}")
            continue
        folder = PurePosixPath(picture.name).parent.name
        yield Sample(picture.name, picture.offset, picture.data, label or folder or None, boxes)


def _of_members(beside: Mapping[str, bytes]) -> tuple[str | None, tuple[BoxRecord, ...] | None]:
    told = _Labels.model_validate_json(beside["json"]) if "json" in beside else _Labels()
    label = beside["cls"].decode().strip() if "cls" in beside else None
    return label or (None if told.label is None else str(told.label)), told.annotations


def _of_row(
    told: Mapping[str, Any], names: Mapping[str, Sequence[str]]
) -> tuple[str | None, tuple[BoxRecord, ...] | None]:
    value, objects = told.get("label"), told.get("objects")
    label = None if value is None else _named(value, names.get("label"))
    if objects is None:
        return label, None
    if isinstance(objects, dict):  # lists side by side
        kept = {key: objects[key] for key in ("bbox", "category", "iscrowd") if objects.get(key) is not None}
        objects = [dict(zip(kept, values, strict=True)) for values in zip(*kept.values(), strict=True)]
    boxes = tuple(BoxRecord.model_validate(one) for one in objects)
    return label, tuple(
        one.model_copy(update={"category": _named(one.category, names.get("category"))}) for one in boxes
    )


def _named(value: str | int, names: Sequence[str] | None) -> str:
    return names[value] if names is not None and isinstance(value, int) and value >= 0 else str(value)


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, Sequence[str]]:
    """Return what numbers stand for, as `datasets` of Hugging Face writes it into the schema."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    found: dict[str, Sequence[str]] = {}
    for column, key in (("label", "label"), ("objects", "category")):
        names = _find(features.get(column), lambda one: one.get("_type") == "ClassLabel" and one.get("names"))
        if names is not None:
            found[key] = names
    return found


def _find(value: Any, wanted: Callable[[Mapping[str, Any]], Any]) -> Any:
    """Return the first thing that is wanted of nested objects and lists."""
    if isinstance(value, dict):
        if found := wanted(value):
            return found
        children: Iterable[Any] = value.values()
    else:
        children = value if isinstance(value, list) else ()
    return next((found for child in children if (found := _find(child, wanted)) is not None), None)


def _short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)[:200]

"""Parquet files with the bytes of pictures in a column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

BYTES = "bytes"
"""The field with the bytes where the column is a struct, as Hugging Face's `datasets` writes pictures."""

AT_ONCE = 16
"""Rows read at once."""


class UnusableFileError(ValueError):
    """A Parquet file is damaged."""


class UnusableColumnsError(ValueError):
    """A Parquet file has no such column of pictures or keys; the message says what it has."""


class RowGroups(NamedTuple):
    """Some row groups of a file.

    Attributes:
        first, groups: the first of them, and how many there are.
        row: the first row, counted from the beginning of the file.
        rows: how many rows there are.
    """

    first: int
    groups: int
    row: int
    rows: int


@dataclass(frozen=True)
class Columns:
    """Where the pictures are, and what they are called by; None: by their row."""

    picture: str
    key: str | None


def opened(file: BinaryIO) -> pq.ParquetFile:
    """Open a Parquet file.

    Raises:
        UnusableFileError: it is damaged.
    """
    try:
        # Small reads instead of whole row groups, which may hold gigabytes of pictures.
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
    except (pa.ArrowException, OSError) as error:
        raise _damage(error) from error


def columns_of(schema: Any, picture: str | None, key: str | None) -> Columns:
    """Find the columns to read.

    Args:
        schema: the file's.
        picture: the column with the bytes; None: the only one that can be.
        key: the column that names the pictures; None: none.

    Raises:
        UnusableColumnsError: there is no such column, or more than one.
    """
    candidates = [field.name for field in schema if _holds_bytes(field.type)]
    there = ", ".join(f"{field.name} ({field.type})" for field in schema)[:300] or "none"
    if picture is None and len(candidates) > 1:
        which = f"several columns of bytes: {', '.join(candidates)}"
        raise UnusableColumnsError(f"the Parquet file has {which}; --picture-column names the one with the pictures")
    if not candidates:
        raise UnusableColumnsError(f"the Parquet file has no column of bytes, but {there}")
    if picture is not None and picture not in candidates:
        raise UnusableColumnsError(f"the Parquet file has no column {picture!r} of bytes, but {there}")
    if key is not None and key not in schema.names:
        raise UnusableColumnsError(f"the Parquet file has no column {key!r}, but {there}")
    return Columns(picture or candidates[0], key)


def row_groups(file: pq.ParquetFile, most: int) -> Iterator[RowGroups]:
    """Cut a file into neighbouring row groups of at most so many rows, or single ones."""
    first = row = rows = 0
    for number in range(file.metadata.num_row_groups):
        more = file.metadata.row_group(number).num_rows
        if rows and rows + more > most:
            yield RowGroups(first, number - first, row, rows)
            first, row, rows = number, row + rows, 0
        rows += more
    if rows:
        yield RowGroups(first, file.metadata.num_row_groups - first, row, rows)


def all_row_groups(file: pq.ParquetFile) -> RowGroups:
    """Return the whole of a file."""
    return RowGroups(0, file.metadata.num_row_groups, 0, file.metadata.num_rows)


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        key: what its pictures are called by; None where nothing says.
        pictures: the bytes of each, None where there are none. A row of a list has any number, other rows have one.
        several: it is a row of a list.
        others: the values of the other columns that were asked for.
    """

    key: str | None
    pictures: tuple[bytes | None, ...]
    several: bool = False
    others: tuple[Any, ...] = ()


def rows_of(file: pq.ParquetFile, part: RowGroups, columns: Columns, others: Sequence[str] = ()) -> Iterator[Row]:
    """Read rows.

    Args:
        file: opened.
        part: which of them.
        columns: where the pictures and their names are.
        others: further columns to read.

    Raises:
        UnusableFileError: the file is damaged at some place.
    """
    kind = file.schema_arrow.field(columns.picture).type
    several = _is_list(kind)
    # Of a struct only the field that is needed is read.
    name = f"{columns.picture}.{BYTES}" if pa.types.is_struct(kind) else columns.picture
    names = [name, *([columns.key] if columns.key else []), *others]
    try:
        # One group after the other: of a batch that spans two, the first one's rows would be lost with the second.
        for number in range(part.first, part.first + part.groups):
            for batch in file.iter_batches(batch_size=AT_ONCE, row_groups=[number], columns=names):
                pictures = batch.column(columns.picture).to_pylist()
                keys = batch.column(columns.key).to_pylist() if columns.key else [None] * len(pictures)
                more = list(zip(*(batch.column(one).to_pylist() for one in others), strict=True))
                for place, (key, value) in enumerate(zip(keys, pictures, strict=True)):
                    values = (value or ()) if several else (value,)
                    told = more[place] if others else ()
                    yield Row(None if key is None else str(key), tuple(map(_bytes, values)), several, told)
    except (pa.ArrowException, OSError) as error:
        raise _damage(error) from error


def _bytes(value: Any) -> bytes | None:
    """Return the bytes of a picture, which may be a field of a struct."""
    data: bytes | None = value.get(BYTES) if isinstance(value, dict) else value
    return data


def _holds_bytes(kind: Any) -> bool:
    """Tell whether a column's values are pictures or lists of them."""
    return _is_picture(kind.value_type if _is_list(kind) else kind)


def _is_picture(kind: Any) -> bool:
    """Tell whether a value is bytes or a struct with them, as Hugging Face's `datasets` writes pictures."""
    if pa.types.is_struct(kind):
        index = kind.get_field_index(BYTES)
        return index >= 0 and _is_binary(kind.field(index).type)
    return _is_binary(kind)


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_binary(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):  # repeated values are stored once
        return _is_binary(kind.value_type)
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _damage(error: Exception) -> Exception:
    """Tell damage, of which Arrow says no more than OSError, from what a disk or a network raises through it."""
    if not isinstance(error, pa.ArrowException) and type(error) is not OSError:
        return error
    line = str(error).partition("\n")[0][:200]
    return UnusableFileError(f"the Parquet file is damaged or cut short ({line})")

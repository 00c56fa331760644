"""Parquet files with the bytes of pictures in a column."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

BYTES = "bytes"
"""The field with the bytes where the column is a struct, as Hugging Face's `datasets` writes pictures."""

AT_ONCE = 16
"""Rows read at once."""


class UnusableFileError(ValueError):
    """A Parquet file is damaged or has no column of pictures; the message says which."""


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
        UnusableFileError: there is no such column, or more than one.
    """
    candidates = [field.name for field in schema if _holds_bytes(field.type)]
    if picture is None and len(candidates) != 1:
        which = f"several columns of bytes: {', '.join(candidates)}" if candidates else "no column of bytes"
        raise UnusableFileError(f"the Parquet file has {which}; --picture-column names the one with the pictures")
    if picture is not None and picture not in candidates:
        there = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise UnusableFileError(f"the Parquet file has no column {picture!r} of bytes, but {there[:300] or 'none'}")
    if key is not None and key not in schema.names:
        raise UnusableFileError(f"the Parquet file has no column {key!r}, but {', '.join(schema.names)[:300]}")
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


def rows_of(file: pq.ParquetFile, part: RowGroups, columns: Columns) -> Iterator[tuple[str | None, bytes | None]]:
    """Read the name and the bytes of each row; None for what is not there.

    Raises:
        UnusableFileError: the file is damaged at some place.
    """
    nested = pa.types.is_struct(file.schema_arrow.field(columns.picture).type)
    names = [f"{columns.picture}.{BYTES}" if nested else columns.picture, *([columns.key] if columns.key else [])]
    try:
        # One group after the other: of a batch that spans two, the first one's rows would be lost with the second.
        for number in range(part.first, part.first + part.groups):
            for batch in file.iter_batches(batch_size=AT_ONCE, row_groups=[number], columns=names):
                pictures = batch.column(columns.picture).to_pylist()
                keys = batch.column(columns.key).to_pylist() if columns.key else [None] * len(pictures)
                for key, value in zip(keys, pictures, strict=True):
                    data = value.get(BYTES) if nested and value is not None else value
                    yield None if key is None else str(key), data
    except (pa.ArrowException, OSError) as error:
        raise _damage(error) from error


def _holds_bytes(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        index = kind.get_field_index(BYTES)
        return index >= 0 and _is_binary(kind.field(index).type)
    return _is_binary(kind)


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _damage(error: Exception) -> Exception:
    """Tell damage, of which Arrow says no more than OSError, from what a disk or a network raises through it."""
    if not isinstance(error, pa.ArrowException) and type(error) is not OSError:
        return error
    line = str(error).partition("\n")[0][:200]
    return UnusableFileError(f"the Parquet file is damaged or cut short ({line})")

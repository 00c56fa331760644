import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.archives.parquets import (
    Columns,
    RowGroups,
    UnusableColumnsError,
    UnusableFileError,
    all_row_groups,
    columns_of,
    opened,
    row_groups,
    rows_of,
)
from tests.archives import parquet


def read(path: Path, part: RowGroups | None = None, key: str | None = None) -> list[tuple[str | None, Any]]:
    with path.open("rb") as file:
        source = opened(file)
        columns = columns_of(source.schema_arrow, None, key)
        return [
            (row.key, row.pictures if row.several else row.pictures[0])
            for row in rows_of(source, part or all_row_groups(source), columns)
        ]


@pytest.mark.parametrize(
    "kind",
    [pa.binary(), pa.large_binary(), pa.binary(1), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())],
)
def test_bytes(tmp_path: Path, kind: Any) -> None:
    values = pa.array([b"a", None, b"c"])
    column = values.dictionary_encode() if pa.types.is_dictionary(kind) else values.cast(kind)
    path = parquet(tmp_path / "x.parquet", {"image": column, "id": [7, 8, None]})
    with path.open("rb") as file:
        assert opened(file).schema_arrow.field("image").type == kind
    assert read(path) == [(None, b"a"), (None, None), (None, b"c")]
    assert read(path, key="id") == [("7", b"a"), ("8", None), (None, b"c")]


def test_bytes_in_a_struct(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "x.parquet", {"image": [{"bytes": b"a", "path": "p"}, None, {"bytes": None, "path": "q"}]}
    )
    assert read(path) == [(None, b"a"), (None, None), (None, None)]


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list])
@pytest.mark.parametrize("nested", [False, True])
def test_lists_of_pictures(tmp_path: Path, kind: Callable[[Any], Any], nested: bool) -> None:
    """Hugging Face's List(Image)."""
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if nested else pa.binary()
    rows = [[b"a", b"b"], [], None, [b"c", None]]
    wrapped = [row if row is None else [{"bytes": one, "path": "p"} for one in row] for row in rows]
    path = parquet(tmp_path / "x.parquet", {"image": pa.array(wrapped if nested else rows, kind(picture))})
    assert read(path) == [(None, (b"a", b"b")), (None, ()), (None, ()), (None, (b"c", None))]


def test_parts_of_a_file(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", {"image": [b"%d" % number for number in range(25)]}, rows_in_group=4)
    with path.open("rb") as file:
        parts = list(row_groups(opened(file), 10))
    assert parts == [RowGroups(0, 2, 0, 8), RowGroups(2, 2, 8, 8), RowGroups(4, 3, 16, 9)]
    assert [data for part in parts for _, data in read(path, part)] == [b"%d" % number for number in range(25)]
    with path.open("rb") as file:
        assert len(list(row_groups(opened(file), 1))) == 7


def test_the_column_must_be_clear() -> None:
    schema = pa.schema([("a", pa.binary()), ("b", pa.binary()), ("n", pa.int64())])
    assert columns_of(schema, "b", "n") == Columns("b", "n")
    for picture, key, reason in (
        (None, None, "several columns of bytes: a, b"),
        ("n", None, "no column 'n' of bytes, but a \\(binary\\)"),
        ("a", "k", "no column 'k', but a \\(binary\\), b \\(binary\\), n \\(int64\\)"),
    ):
        with pytest.raises(UnusableColumnsError, match=reason):
            columns_of(schema, picture, key)
    with pytest.raises(UnusableColumnsError, match=r"no column of bytes, but n \(struct<bytes: string>\)"):
        columns_of(pa.schema([("n", pa.struct([("bytes", pa.string())]))]), None, None)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no Parquet" * 50, b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_what_is_no_parquet(data: bytes) -> None:
    with pytest.raises(UnusableFileError, match="damaged or cut short"):
        opened(io.BytesIO(data))


def test_damage_in_the_middle_is_told_of(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "x.parquet", {"image": [bytes([number]) * 5000 for number in range(40)]}, rows_in_group=10
    )
    whole = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(2).column(0).dictionary_page_offset
    whole[place : place + 40] = b"\xff" * 40
    path.write_bytes(whole)
    with path.open("rb") as file:
        source = opened(file)
        seen: list[object] = []
        with pytest.raises(UnusableFileError, match="damaged"):
            seen.extend(rows_of(source, all_row_groups(source), Columns("image", None)))
    assert len(seen) == 20


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise ConnectionResetError("gone")

    data = parquet(tmp_path / "x.parquet", {"image": [b"a"]}).read_bytes()
    with pytest.raises(ConnectionResetError):
        opened(Broken(data))

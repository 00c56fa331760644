"""Archives of pictures, as others write them."""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def tar(path: Path, members: Sequence[tuple[str, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return path


def parquet(path: Path, columns: Mapping[str, Any], rows_in_group: int = 1000) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows_in_group)
    return path

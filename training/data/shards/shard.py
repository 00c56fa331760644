"""A part of an archive that is read as one: the bytes between two places of a plain tar, or what has to be unpacked."""

from collections.abc import Iterator
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict

from model.archives.parquets import RowGroups
from training.data.shards.samples import Sample, parquet_samples, tar_samples


class Shard(BaseModel):
    """A shard.

    Attributes:
        file: the archive's name in its folder.
        kind: bytes: of a plain tar; tar: a compressed one; parquet: row groups of a Parquet file.
        first, count: which bytes, or which row groups.
        row: of a Parquet file the first row.
        rows: how many pictures of it are used.
        picture_column: of a Parquet file.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    kind: Literal["bytes", "tar", "parquet"]
    first: int = 0
    count: int = 0
    row: int = 0
    rows: int = 0
    picture_column: str | None = None

    @property
    def start(self) -> int:
        """Where the bytes of its unpacked form begin to count."""
        return self.first if self.kind == "bytes" else 0

    def unpacked(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield, piece by piece, what the offsets of its pictures count through, from `start` on.

        Args:
            file: its archive, opened.

        Raises:
            DamagedArchiveError, UnusableFileError, UnusableColumnsError: it is damaged.
            OSError: the disk or the network failed.
        """
        if self.kind == "bytes":
            file.seek(self.first)
            left = self.count
            while left and (piece := file.read(min(left, 1 << 20))):
                left -= len(piece)
                yield piece
            return
        part = RowGroups(self.first, self.count, self.row, 0)
        samples = (
            tar_samples(file, self.file) if self.kind == "tar" else parquet_samples(file, part, self.picture_column)
        )
        yield from (one.data for one in samples if isinstance(one, Sample))

"""Labelling from an object store into it."""

from pathlib import Path

import pytest
import s3fs

from app.label.output.file_format import FileFormat
from app.label.run import Outcome, run
from model.archives.errors import OutputError
from tests.app import pictures
from tests.app.label.archives import failures, fill, plan, rows
from tests.archives import parquet, tar
from tests.object_store import store  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow


def test_from_a_bucket_to_a_bucket(
    store: s3fs.S3FileSystem,  # noqa: F811 - the fixture
    tmp_path: Path,
    tiny_model: Path,
) -> None:
    source, output = tmp_path / "source", tmp_path / "output"
    fill(source, 5)
    (source / "bad.jpg").write_bytes(b"bad")
    tar(source / "deep.tar", [(f"{number}.png", pictures.red()) for number in range(5)])
    parquet(source / "z.parquet", {"image": [pictures.red()] * 3})
    store.put(f"{source}/", "archive/shots/", recursive=True)
    made = plan("s3://archive/shots", "s3://archive/labels", tiny_model, shard_size=2, formats=[FileFormat.COCO])
    assert run(*made) == Outcome(14, 1)
    store.get("archive/labels/", f"{output}/", recursive=True)
    assert failures(output).keys() == {"bad.jpg"}
    assert len(rows(output, "detections")) == 13

    store.rm("archive/labels/pictures/00000001.parquet")
    before = {entry["name"]: entry["LastModified"] for entry in store.ls("archive/labels/pictures", detail=True)}
    assert run(*made) == Outcome(14, 1)
    after = {
        entry["name"]: entry["LastModified"] for entry in store.ls("archive/labels/pictures", detail=True, refresh=True)
    }
    assert after.items() > before.items()
    assert after.keys() - before.keys() == {"archive/labels/pictures/00000001.parquet"}

    store.pipe("archive/shots/new.png", pictures.red())
    with pytest.raises(OutputError, match=r"new\.png is new"):
        run(*made)
    assert run(*plan("s3://archive/shots/000*.png", "s3://archive/some", tiny_model)) == Outcome(5, 0)
    with pytest.raises(OutputError, match="not empty and was not made by this program"):
        run(*plan("s3://archive/shots", "s3://archive/shots", tiny_model))

"""Training on shards in an object store, with workers that are forked from a process which has been there already."""

from pathlib import Path

import numpy as np
import pytest
import s3fs

from model.tree_files import packaged_tree
from tests.object_store import store  # noqa: F401 - a fixture
from tests.training.data.shards.shards import write_labelled
from training.commands.pretrain import Labels
from training.data.batches import BatchSampler, load_batches
from training.data.index.sets import ShardSource, read_shards
from training.data.pictures.columns import LabelOnlyPictures
from training.data.shards.cache import ShardsConfiguration
from training.data.sources import Source, labels_of
from training.data.views import Views
from training.looking.index import IndexConfiguration, build_index

pytestmark = pytest.mark.slow


def test_pictures_from_a_bucket(store: s3fs.S3FileSystem, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    write_labelled(tmp_path / "set", (5, 4, 6))
    store.put(f"{tmp_path}/set/", "archive/set/", recursive=True)
    source, index = "s3://archive/set/*.tar", tmp_path / "index"
    (line,) = build_index(IndexConfiguration(sets=(source,), output=index, processes=2))
    assert line.endswith("3 archives, 3 looked at")

    def streamed(one: str, kept: Path, workers: int) -> list[bytes]:
        place = index if one == source else None
        found = read_shards(
            ShardSource(source=one),
            packaged_tree(),
            index=place,
            configuration=ShardsConfiguration(shuffle=4, cache=kept),
        )
        assert isinstance(found, LabelOnlyPictures)
        part = Source("x", found)
        views = Views([part], Labels(packaged_tree(), labels_of([part]), "flat").columns, None)
        assert views.items[0][1].read()  # this process has opened the store
        stream = BatchSampler(views.items, 3, (32,), 0, 0, 10)
        return [np.asarray(batch.pictures).tobytes() for batch in load_batches(views, stream, workers)]

    there = streamed(source, tmp_path / "kept", 2)
    assert there == streamed(str(tmp_path / "set"), tmp_path / "nothing", 0)
    assert len(list((tmp_path / "kept").glob("*.shard"))) == 3

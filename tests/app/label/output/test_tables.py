from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from app.label.output import tables
from app.label.output.tables import ShardTables, Summary, part_name, shard_of
from model.answers.alternatives import Alternatives
from model.answers.detections import Detections
from model.archives.locations import LocalFolder
from tests.app.label.archives import rows
from tests.model_files import node, tiny_tree

TREE = tiny_tree()


def found(*names: str) -> Detections:
    """Return a detection of each of these concepts."""
    paths = [[*TREE.path(node(name))] for name in names]
    depth = max(map(len, paths), default=1)
    count = len(names)
    padded = [[*path, *[-1] * (depth - len(path))] for path in paths]
    lengths = np.array([len(path) for path in paths], np.int32)
    chances = np.where(np.arange(depth) < lengths[:, None], 0.5, 0).astype(np.float32).reshape(count, depth)
    return Detections(
        boxes=np.arange(4 * count, dtype=np.float32).reshape(count, 4),
        objectness=np.full(count, 0.8, np.float32),
        scores=np.full(count, 0.4, np.float32),
        nodes=np.array([node(name) for name in names], np.int32),
        paths=np.array(padded, np.int32).reshape(count, depth),
        probabilities=chances,
        alternatives=Alternatives.none(count),
    )


def steps(row: dict[str, Any]) -> list[str]:
    return [step["name"] for step in row["path"]]


@pytest.mark.parametrize("flush", [0, 2, 4096])
def test_what_was_found_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flush: int) -> None:
    monkeypatch.setattr(tables, "FLUSH", flush)
    with ShardTables(LocalFolder(tmp_path), 3, TREE) as written:
        written.add("a.jpg", 20, 10, found("beagle", "object"))
        written.add("b.jpg", 30, 10, found())
        written.add_failure("c.jpg", "it is damaged")
        written.add("a.jpg", 40, 10, found("car"))
        assert written.commit() == Summary(3, 4, 1, 3)
    first = 3 << 32
    assert [list(row.values()) for row in rows(tmp_path)] == [
        [first, "a.jpg", 20, 10, 2, None],
        [first + 1, "b.jpg", 30, 10, 0, None],
        [first + 2, "c.jpg", None, None, 0, "it is damaged"],
        [first + 3, "a.jpg", 40, 10, 1, None],
    ]
    beagle, thing, car = rows(tmp_path, "detections")
    assert (beagle["picture_id"], beagle["picture"], beagle["wnid"], beagle["name"]) == (
        first,
        "a.jpg",
        "n02088364",
        "beagle",
    )
    assert [beagle[edge] for edge in ("x1", "y1", "x2", "y2")] == [0, 1, 2, 3]
    assert (beagle["score"], beagle["objectness"]) == (np.float32(0.4), np.float32(0.8))
    assert steps(beagle) == ["object", "animal", "dog", "beagle"]
    assert beagle["path"][0] == {"wnid": "n00002684", "name": "object", "probability": 0.5}
    assert (steps(thing), steps(car), car["picture_id"]) == (["object"], ["object", "vehicle", "car"], first + 3)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_shard_is_done_when_its_pictures_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put: list[str] = []
    location = LocalFolder(tmp_path)

    def fail_at_second(_: Path, name: str) -> None:
        put.append(name)
        if len(put) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(location, "put", fail_at_second)
    with pytest.raises(OSError, match="No space"), ShardTables(location, 0, TREE) as written:
        written.commit()
    assert put == ["detections/00000000.parquet", "pictures/00000000.parquet"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_empty_shard_has_its_columns(tmp_path: Path) -> None:
    with ShardTables(LocalFolder(tmp_path), 0, TREE) as written:
        assert written.commit() == Summary(0, 0, 0, 0)
    assert pq.read_schema(tmp_path / "detections/00000000.parquet").equals(tables.DETECTION_SCHEMA)
    assert rows(tmp_path) == []


def test_names_of_files() -> None:
    assert part_name("pictures", 12) == "pictures/00000012.parquet"
    assert shard_of("00000012.parquet") == 12
    assert [shard_of(name) for name in ("x.parquet", "12.parquet.tmp", "", "²2.parquet")] == [None] * 4

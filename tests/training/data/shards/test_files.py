"""Pictures are read from shards, which are fetched or unpacked once, by one process, and kept while there is room."""

import logging
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest

from model.archives import patience
from model.archives.locations import LocalFolder
from tests.training.data.shards.shards import jpeg, write_labelled, write_parquet
from training.data.index.parts import Journals
from training.data.index.shards import gather_shards
from training.data.shards import cache
from training.data.shards.cache import ShardCache, ShardsConfiguration
from training.data.shards.errors import ShardError
from training.data.shards.files import ShardFiles
from training.data.shards.shard import Shard


def files(source: str, configuration: ShardsConfiguration, journals: Path) -> tuple[ShardFiles, list[tuple[int, ...]]]:
    """Return a set's shards, and shard, offset and length of each of its pictures."""
    description, batches, _ = gather_shards(source, None, {}, Journals(journals, "x"), 1)
    shards = [Shard.model_validate(one) for piece in description.pieces for one in piece.about["shards"]]
    found = ShardFiles(description.root, shards, {}, configuration)
    places = [tuple(row.values()) for batch in batches for row in batch.select(["offset", "length"]).to_pylist()]
    return found, [(found.of_row(row), *place) for row, place in enumerate(places)]


@pytest.fixture
def remote(tmp_path: Path) -> str:
    """A folder behind fsspec."""
    write_labelled(tmp_path / "there")
    system = fsspec.filesystem("memory")
    name = f"/{tmp_path.name}"
    system.put(str(tmp_path / "there"), name, recursive=True)
    return f"memory:/{name}"


def write(kind: str, folder: Path) -> list[bytes]:
    if kind == "parquet":
        return write_parquet(folder / "a.parquet", 5) + write_parquet(folder / "b.parquet", 3)
    return write_labelled(folder, ending=kind)


@pytest.mark.parametrize("kind", [".tar", ".tar.gz", "parquet"])
def test_pictures_come_back(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.index.archives.BYTES", 4000)  # several shards of an archive
    monkeypatch.setattr("training.data.shards.files.OPEN_AT_MOST", 2)
    pictures = write(kind, tmp_path / "set")
    found, spans = files(str(tmp_path / "set"), ShardsConfiguration(cache=tmp_path / "kept"), tmp_path)
    assert len(found.shards) > 3 or kind == ".tar.gz"
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda span: found.read(*span), spans * 3)) == pictures * 3
    assert pickle.loads(pickle.dumps(found)).read(*spans[-1]) == pictures[-1]  # noqa: S301 - our own
    assert (tmp_path / "kept").exists() == (kind != ".tar")  # a plain archive here is read in its place


def test_a_shard_elsewhere_is_fetched_once(tmp_path: Path, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, spans = files(remote, ShardsConfiguration(cache=tmp_path / "kept"), tmp_path)
    opened: list[str] = []
    whole = type(found.location).open

    def counted(self: Any, name: str) -> Any:
        opened.append(name)
        time.sleep(0.05)
        return whole(self, name)

    monkeypatch.setattr(type(found.location), "open", counted)
    with ThreadPoolExecutor(8) as pool:  # a lock of the file system holds between threads as between processes
        assert list(pool.map(lambda span: found.read(*span), spans)) == [jpeg(seed) for seed in range(9)]
    assert sorted(opened) == ["000.tar", "001.tar", "002.tar"]


def test_what_was_not_used_for_longest_goes(tmp_path: Path, remote: str) -> None:
    found, spans = files(remote, ShardsConfiguration(cache=tmp_path / "kept"), tmp_path)
    room = sum(shard.count for shard in found.shards[:2])
    configuration = ShardsConfiguration(cache=tmp_path / "kept", cache_gigabytes=room / 1e9)
    found = ShardFiles(found.url, found.shards, {}, configuration)
    first = found.fetch(0)
    found.read(*spans[0])
    assert found.fetch(1).exists()
    assert first.exists()
    last = found.fetch(2)
    assert last.exists()
    assert not first.exists()
    assert found.read(*spans[1]) == jpeg(1)  # from the file that is open
    again = ShardFiles(found.url, found.shards, {}, configuration)
    assert again.read(*spans[0]) == jpeg(0)  # fetched once more


def test_a_network_that_fails_is_tried_again(
    tmp_path: Path, remote: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "PAUSES", (0.0, 0.0))
    found, spans = files(remote, ShardsConfiguration(cache=tmp_path / "kept"), tmp_path)
    whole, failures = type(found.location).open, [TimeoutError("slow"), RuntimeError("what libraries raise")]

    def failing(self: Any, name: str) -> Any:
        if failures:
            raise failures.pop()
        return whole(self, name)

    monkeypatch.setattr(type(found.location), "open", failing)
    assert found.read(*spans[0]) == jpeg(0)
    assert caplog.text.count("000.tar: the shard could not be read") == 2
    failures += [TimeoutError("slow")] * 3
    with pytest.raises(ShardError, match=r"002\.tar: the shard cannot be read \(slow\)"):
        found.read(*spans[-1])
    assert not list((tmp_path / "kept").glob("*.part"))


def test_a_straggler_is_told_of(
    tmp_path: Path, remote: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache, "LATE", 0.05)
    found, spans = files(remote, ShardsConfiguration(cache=tmp_path / "kept"), tmp_path)
    whole = type(found.location).open

    def slow(self: Any, name: str) -> Any:
        time.sleep(0.3)
        return whole(self, name)

    monkeypatch.setattr(type(found.location), "open", slow)
    with caplog.at_level(logging.WARNING):
        found.read(*spans[0])
    assert "000.tar is not there after 0 s" in caplog.text


def test_a_shard_that_is_gone_or_shorter(tmp_path: Path) -> None:
    write_labelled(tmp_path / "set")
    found, spans = files(str(tmp_path / "set"), ShardsConfiguration(), tmp_path)
    path = tmp_path / "set" / "002.tar"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ShardError, match=r"002\.tar: has become shorter; index the set once more"):
        found.read(*spans[-1])
    (tmp_path / "set" / "000.tar").unlink()
    with pytest.raises(ShardError, match=r"000\.tar: the shard cannot be read \(No such file"):
        found.read(*spans[0])


def test_a_shard_elsewhere_that_is_gone_or_shorter(tmp_path: Path, remote: str) -> None:
    found, spans = files(remote, ShardsConfiguration(cache=tmp_path / "kept"), tmp_path)
    system, name = fsspec.filesystem("memory"), remote.removeprefix("memory:/")
    system.pipe_file(f"{name}/002.tar", b"short")
    with pytest.raises(ShardError, match=r"002\.tar: has become shorter"):
        found.read(*spans[-1])
    system.rm(f"{name}/000.tar")
    with pytest.raises(ShardError, match=r"000\.tar: the shard cannot be read"):
        found.read(*spans[0])


def test_damage_since_it_was_indexed(tmp_path: Path) -> None:
    write_parquet(tmp_path / "set" / "a.parquet", 3)
    found, spans = files(str(tmp_path / "set"), ShardsConfiguration(cache=tmp_path / "kept"), tmp_path)
    (tmp_path / "set" / "a.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(ShardError, match=r"a\.parquet: the Parquet file is damaged"):
        found.read(*spans[0])


def test_a_cache_that_cannot_be_written(tmp_path: Path, remote: str) -> None:
    (tmp_path / "kept").write_text("in the way")
    found, spans = files(remote, ShardsConfiguration(cache=tmp_path / "kept"), tmp_path)
    with pytest.raises(ShardError, match=r"kept: the shard .* cannot be kept"):
        found.read(*spans[0])


HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    write_parquet(tmp_path / "set" / "a.parquet", 2, rows_in_group=2)
    configuration = ShardsConfiguration(cache=tmp_path / "kept")
    found, spans = files(str(tmp_path / "set"), configuration, tmp_path)
    path = found.fetch(0)
    path.unlink()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path.with_suffix(".lock"))], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    read: list[bytes] = []
    waiting = threading.Thread(target=lambda: read.append(found.read(*spans[0])))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    holder.kill()
    holder.wait()
    waiting.join(10)
    assert read == [jpeg(0)]
    holder.stdout.close()


def test_another_stamp_is_another_shard(tmp_path: Path) -> None:
    write_parquet(tmp_path / "set" / "a.parquet", 2)
    location = LocalFolder(tmp_path / "set")
    shard = Shard(file="a.parquet", kind="parquet", count=1)
    kept = ShardCache(ShardsConfiguration(cache=tmp_path / "kept"))
    assert kept.path(location, shard, "1") != kept.path(location, shard, "2")

from dataclasses import replace
from pathlib import Path

import pytest

from app.label import run as run_module
from app.label.errors import WorkError
from app.label.output.file_format import FileFormat
from app.label.plan import Means
from app.label.run import Outcome, run
from model.archives.errors import OutputError, SourceError
from model.archives.locations import LocalFolder
from tests.app import pictures
from tests.app.label.archives import LIMITS, failures, fill, plan, rows
from tests.archives import parquet, tar


@pytest.fixture
def source(tmp_path: Path) -> Path:
    fill(tmp_path / "source", 5)
    return tmp_path / "source"


def inodes(output: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (output / "pictures").iterdir()}


@pytest.mark.slow
def test_every_kind_of_source_at_once(tmp_path: Path, source: Path, tiny_model: Path) -> None:
    (source / "bad.jpg").write_bytes(b"bad")
    tar(source / "x.tar", [(f"{number}.png", pictures.red()) for number in range(5)])
    tar(source / "y.tar.gz", [("0.png", pictures.red()), ("0.png", pictures.red_and_blue())], "w:gz")
    parquet(source / "z.parquet", {"image": [{"bytes": pictures.red()}, {"bytes": None}]})
    output = tmp_path / "output"
    made = plan(source, output, tiny_model, shard_size=2, formats=[FileFormat.COCO], means=Means(processes=2))
    assert run(*made) == Outcome(15, 2)
    assert len({row["picture_id"] for row in rows(output)}) == 15
    assert sorted(failures(output)) == ["bad.jpg", "z.parquet#1"]
    assert len(rows(output, "detections")) == 14
    assert {path.name for path in output.iterdir()} - {".lock", "tmp"} == {
        "coco.json", "detections", "failures.jsonl", "listing", "manifest.json", "pictures",
    }  # fmt: skip
    before = inodes(output)
    assert run(*made) == Outcome(15, 2)  # there is nothing left to do
    assert inodes(output) == before


@pytest.mark.slow
def test_only_what_is_not_done_is_done(tmp_path: Path, source: Path, tiny_model: Path) -> None:
    output = tmp_path / "output"
    made = plan(source, output, tiny_model, shard_size=2)
    run(*made)
    before = inodes(output)
    (output / "pictures/00000001.parquet").unlink()  # as if the process had been killed between its two files
    (output / "tmp/left.part").write_bytes(b"by a process that was killed")
    assert run(*made) == Outcome(5, 0)
    after = inodes(output)
    assert {name for name in after if after[name] != before[name]} == {"00000001.parquet"}
    assert len(rows(output)) == len(rows(output, "detections")) == 5
    assert list((output / "tmp").iterdir()) == []


@pytest.mark.slow
def test_a_run_that_was_killed_while_it_listed_begins_anew(tmp_path: Path, source: Path, tiny_model: Path) -> None:
    made = plan(source, tmp_path / "output", tiny_model)
    made[0].manifest.write(LocalFolder(tmp_path / "output"))
    (source / "new.png").write_bytes(pictures.red())
    assert run(*made) == Outcome(6, 0)


@pytest.mark.slow
def test_other_options_are_refused(tmp_path: Path, source: Path, tiny_model: Path) -> None:
    output = tmp_path / "output"
    run(*plan(source, output, tiny_model, shard_size=2))
    with pytest.raises(OutputError, match=r"threshold is 0\.3 and was 0\.25"):
        run(*plan(source, output, tiny_model, parameters={"threshold": 0.3}))
    with pytest.raises(OutputError, match="shards of 2 pictures, not of 3"):
        run(*plan(source, output, tiny_model, shard_size=3))
    assert run(*plan(source, output, tiny_model)) == Outcome(5, 0)  # which stays as it was begun


@pytest.mark.slow
def test_a_source_that_has_changed_is_refused(tmp_path: Path, source: Path, tiny_model: Path) -> None:
    tar(source / "0000-first.tar", [("0.png", pictures.red())])
    made = plan(source, tmp_path / "output", tiny_model)
    run(*made)
    (source / "0002b.png").write_bytes(pictures.red())
    with pytest.raises(OutputError, match=r"has changed .*\(0002b\.png is new\); use another output folder"):
        run(*made)


def test_nothing_is_made_where_it_cannot_begin(tmp_path: Path, source: Path, tiny_model: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="not empty"):
        run(*plan(source, theirs, tiny_model))
    assert [path.name for path in theirs.iterdir()] == ["thesis.txt"]
    with pytest.raises(OutputError, match=r"thesis\.txt: Not a directory"):
        run(*plan(source, theirs / "thesis.txt", tiny_model))
    with pytest.raises(SourceError, match="no such folder or file"):
        run(*plan(tmp_path / "missing", tmp_path / "output", tiny_model))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no pictures, tar"):
        run(*plan(tmp_path / "empty", tmp_path / "output2", tiny_model))


def test_two_runs_at_once(tmp_path: Path, source: Path, tiny_model: Path) -> None:
    output = LocalFolder(tmp_path / "output")
    with output.alone(), pytest.raises(OutputError, match="another run"):
        run(*plan(source, output.root, tiny_model))


@pytest.mark.slow
def test_through_fsspec(tmp_path: Path, source: Path, tiny_model: Path) -> None:
    tar(source / "x.tar", [(f"{number}.png", pictures.red()) for number in range(5)])
    parquet(source / "z.parquet", {"image": [pictures.red()] * 3})
    output = tmp_path / "output"
    made = plan(source.as_uri(), output.as_uri(), tiny_model, formats=[FileFormat.COCO], shard_size=2)
    assert run(*made) == Outcome(13, 0)
    before = inodes(output)
    assert run(*made) == Outcome(13, 0)
    assert inodes(output) == before
    assert (output / "coco.json").exists()


@pytest.mark.slow
def test_a_full_disk_ends_in_a_sentence(
    tmp_path: Path, source: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    made = plan(source, tmp_path / "output", tiny_model)
    monkeypatch.setattr(run_module, "write_failures", fail)
    with pytest.raises(WorkError, match="output: No space left on device"):
        run(*made)


@pytest.mark.slow
def test_a_wrong_column_is_refused_and_the_right_one_can_follow(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "in").mkdir()
    parquet(tmp_path / "in" / "a.parquet", {"image": [pictures.red()], "n": [1]})
    wrong, right = (replace(LIMITS, picture_column=name) for name in ("img", "image"))
    with pytest.raises(SourceError, match=r"no column 'img' of bytes, but image \(binary\), n \(int64\); nothing was"):
        run(*plan(tmp_path / "in", tmp_path / "out", tiny_model, limits=wrong))
    assert run(*plan(tmp_path / "in", tmp_path / "out", tiny_model, limits=right)) == Outcome(1, 0)

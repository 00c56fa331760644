"""A set as an index has it is the set as it is read by itself; and an index notices when the set changes."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from model.tree_files import packaged_tree
from tests.training.tiny_data import BEAGLE, RACCOON, write_data
from training.__main__ import main
from training.data.formats.detection_set import InvalidDatasetError
from training.data.formats.held_out import rows_of_part
from training.data.index import labels
from training.data.index.parts import Journals
from training.data.index.sets import read_boxes, read_labels
from training.data.pictures.picture import BoxedPicture
from training.looking.index import IndexConfiguration, build_index

TREE = packaged_tree()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_data(tmp_path)
    return tmp_path


def build(data: Path, *sets: str, processes: int = 1) -> list[str]:
    chosen = sets or (str(data / "labelled"), "tiny")
    return build_index(IndexConfiguration(sets=chosen, output=data / "index", data=data, processes=processes))


def tiny(data: Path) -> tuple[Path, Path]:
    return data / "annotations" / "tiny.json", data / "images" / "tiny"


def same(one: BoxedPicture, other: BoxedPicture) -> bool:
    return (one.path, one.width, one.height, one.boxes.tolist(), one.nodes.tolist(), one.difficult) == (
        other.path,
        other.width,
        other.height,
        other.boxes.tolist(),
        other.nodes.tolist(),
        other.difficult,
    )


@pytest.mark.slow
def test_sets_are_what_they_are_without_an_index(data: Path) -> None:
    lines = build(data, processes=2)
    assert lines[0].startswith(f"{data}/labelled: 10 pictures, 0.0 MB; 2 classes, 2 looked at")
    assert lines[1].startswith("tiny: 16 pictures, 0.0 MB; 16 pictures looked at")
    for every, held_out in ((0, False), (5, False), (2, True)):
        how = {"held_out_every": every, "held_out": held_out}
        plain = read_labels(data / "labelled", TREE, index=None, **how)  # type: ignore[arg-type]
        indexed = read_labels(data / "labelled", TREE, index=data / "index", **how)  # type: ignore[arg-type]
        assert list(indexed) == list(plain)
        assert indexed.labels().tolist() == plain.labels().tolist()
        first = read_boxes(*tiny(data), TREE, index=None, **how)  # type: ignore[arg-type]
        second = read_boxes(*tiny(data), TREE, index=data / "index", **how)  # type: ignore[arg-type]
        assert all(same(one, other) for one, other in zip(first.pictures, second.pictures, strict=True))
        assert (first.name, first.categories, first.remarks) == (second.name, second.categories, second.remarks)
        assert second.pictures.checked
        assert not first.pictures.checked


def test_another_process_maps_the_same_file(data: Path) -> None:
    build(data)
    found = read_labels(data / "labelled", TREE, index=data / "index", held_out_every=2)
    packed = pickle.dumps(found)
    assert list(pickle.loads(packed)) == list(found)  # noqa: S301 - our own, as worker processes get it
    assert b"0.jpg" not in packed


def test_only_what_has_changed_is_looked_at_again(data: Path) -> None:
    build(data)
    assert [line.rpartition("; ")[2] for line in build(data)] == ["2 classes, all unchanged", "unchanged"]
    shutil.copy(data / "labelled" / BEAGLE / "0.jpg", data / "labelled" / BEAGLE / "new.jpg")
    with pytest.raises(InvalidDatasetError, match=r"labelled: has changed since it was indexed; run `python -m"):
        read_labels(data / "labelled", TREE, index=data / "index")
    assert [line.rpartition("; ")[2] for line in build(data)] == ["2 classes, 1 looked at", "unchanged"]
    assert len(read_labels(data / "labelled", TREE, index=data / "index")) == 11
    assert len(list((data / "index").glob("*.arrow"))) == 2  # the old columns are gone


def test_annotations_that_change_are_noticed(data: Path) -> None:
    build(data)
    annotations = tiny(data)[0]
    content = json.loads(annotations.read_bytes())
    content["annotations"].pop()
    annotations.write_text(json.dumps(content))
    with pytest.raises(InvalidDatasetError, match=r"tiny\.json: has changed since"):
        read_boxes(*tiny(data), TREE, index=data / "index")
    build(data)
    assert read_boxes(*tiny(data), TREE, index=data / "index").box_count == len(content["annotations"])
    shutil.rmtree(data / "images")
    with pytest.raises(InvalidDatasetError, match=r"images/tiny is gone since the set was indexed"):
        read_boxes(*tiny(data), TREE, index=data / "index")


def test_a_class_that_goes_goes_from_the_index(data: Path) -> None:
    build(data)
    shutil.rmtree(data / "labelled" / RACCOON)
    with pytest.raises(InvalidDatasetError, match="is gone since the set was indexed"):
        read_labels(data / "labelled", TREE, index=data / "index")
    build(data)
    assert {one.node for one in read_labels(data / "labelled", TREE, index=data / "index")} == {TREE.index(BEAGLE)}


def test_pictures_that_cannot_be_used_are_told_and_the_rest_is_kept(
    data: Path,
) -> None:
    bad = data / "labelled" / RACCOON / "3.jpg"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:100])
    with pytest.raises(InvalidDatasetError, match=r"1 of 10 pictures cannot be used: .*3\.jpg .*Replace or remove"):
        build(data)
    assert not list((data / "index").glob("*.json"))
    bad.write_bytes(whole)
    assert build(data)[0].endswith("; 2 classes, 1 looked at")  # the journal has the other
    assert not list((data / "index").glob("*.journal"))


def test_a_killed_run_is_gone_on_with(data: Path) -> None:
    folder = data / "index"
    folder.mkdir()
    entry = labels.place_of(data / "labelled", folder)
    part = labels.read_class(data / "labelled", BEAGLE, None)
    assert part is not None
    with Journals(folder, entry.stem).writer() as keep:
        keep(part)
        keep(part._replace(name="cut short"))
    (journal,) = folder.glob("*.journal")
    journal.write_bytes(journal.read_bytes()[:-60])  # of the second, and of the end mark
    assert list(Journals(folder, entry.stem).read()) == [BEAGLE]
    assert build(data, str(data / "labelled"))[0].endswith("; 2 classes, 1 looked at")
    assert list(read_labels(data / "labelled", TREE, index=folder)) == list(
        read_labels(data / "labelled", TREE, index=None)
    )


def test_a_label_map_holds_when_a_set_is_read(data: Path) -> None:
    (data / "labelled" / RACCOON).rename(data / "labelled" / "washing bear")
    build(data, str(data / "labelled"))
    with pytest.raises(InvalidDatasetError, match="'washing bear' is the name of none"):
        read_labels(data / "labelled", TREE, index=data / "index")
    found = read_labels(data / "labelled", TREE, {"washing bear": RACCOON}, index=data / "index")
    assert {one.node for one in found} == {TREE.index(BEAGLE), TREE.index(RACCOON)}


def test_what_is_not_in_it_is_told(data: Path) -> None:
    build(data, "tiny")
    with pytest.raises(InvalidDatasetError, match=r"labelled: is not in the index .* add it: python -m training"):
        read_labels(data / "labelled", TREE, index=data / "index")
    with pytest.raises(InvalidDatasetError, match="is not in the index"):
        read_boxes(*tiny(data), TREE.subset([0]), index=data / "index")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def other_columns(path: Path) -> None:
    batch = pa.record_batch([pa.array([b"a"])], names=["name"])
    with pa.ipc.new_file(str(path), batch.schema) as writer:
        writer.write_batch(batch)


@pytest.mark.parametrize(
    ("ending", "damage", "told"),
    [
        ("json", truncate, "is no index of this version; run"),
        ("arrow", truncate, "columns cannot be read"),
        ("arrow", Path.unlink, "columns cannot be read"),
        ("arrow", other_columns, "columns are not those it describes"),
    ],
)
def test_a_damaged_index_is_refused_and_built_anew(
    data: Path, ending: str, damage: Callable[[Path], None], told: str
) -> None:
    build(data, str(data / "labelled"))
    (path,) = (data / "index").glob(f"*.{ending}")
    damage(path)
    with pytest.raises(InvalidDatasetError, match=told):
        read_labels(data / "labelled", TREE, index=data / "index")
    assert build(data, str(data / "labelled"))[0].endswith("2 classes, 2 looked at")
    assert len(read_labels(data / "labelled", TREE, index=data / "index")) == 10


def test_the_command(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    arguments = ["labelled", "annotations/tiny.json:images/tiny", "--output", "index", "--processes", "1"]
    assert main(["index", *arguments]) == 0
    assert capsys.readouterr().out.count("\n") == 2
    # a run elsewhere finds it, by whichever path
    (data / "linked").symlink_to(data)
    monkeypatch.chdir("/")
    assert len(read_labels(data / "linked" / "labelled", TREE, index=data / "index")) == 10
    assert read_boxes(*tiny(data), TREE, index=data / "index").pictures[3].path.is_file()
    assert main(["index", str(data / "nothing"), "--output", str(data / "index")]) == 2
    assert "nothing" in capsys.readouterr().err


def test_a_zip_file_that_is_replaced_is_noticed(data: Path) -> None:
    path = data / "set.zip"
    shutil.make_archive(str(path.with_suffix("")), "zip", data / "labelled")
    build(data, str(path))
    assert len(read_labels(path, TREE, index=data / "index")) == 10
    shutil.rmtree(data / "labelled" / RACCOON)
    shutil.make_archive(str(path.with_suffix("")), "zip", data / "labelled")
    with pytest.raises(InvalidDatasetError, match=r"set\.zip: has changed since it was indexed"):
        read_labels(path, TREE, index=data / "index")


def test_names_that_are_not_utf8(data: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.jpg")
    shutil.copy(data / "labelled" / BEAGLE / "0.jpg", data / "labelled" / BEAGLE / name)
    build(data, str(data / "labelled"))
    assert any(one.path.name == name for one in read_labels(data / "labelled", TREE, index=data / "index"))


def test_rows_that_are_held_out() -> None:
    counts = np.array([3, 0, 5])
    assert rows_of_part(counts, 2, held_out=True).tolist() == [1, 4, 6]
    assert rows_of_part(counts, 2, held_out=False).tolist() == [0, 2, 3, 5, 7]

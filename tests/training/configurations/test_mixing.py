"""How often an epoch shows the pictures of each set."""

from pathlib import Path

import pytest

from model.tree_files import packaged_tree
from tests.training.data.shards.shards import write_boxed, write_labelled
from tests.training.sources import source
from tests.training.tiny_data import tiny_run, write_data
from training.configurations.mixing import mix, read_data
from training.data.formats.detection_set import InvalidDatasetError
from training.data.pictures.picture import LabelOnlyPicture
from training.data.sources import Source
from training.looking.index import IndexConfiguration, build_index


def labelled(pictures: int, repeats: int = 1) -> Source:
    return source("x", [LabelOnlyPicture(Path(str(number)), 0) for number in range(pictures)], repeats)


def shown(sources: list[Source]) -> int:
    return sum(one.shown() for one in sources)


@pytest.mark.parametrize(
    ("boxes", "labels", "ratio"),
    [(10, 400, 4), (10, 40, 4), (118, 1281, 4), (100, 30, 4), (1000, 10, 0.5), (7, 5, 1), (2514, 800, 0.3)],
)
def test_the_ratio_is_met(boxes: int, labels: int, ratio: float) -> None:
    found = mix([labelled(boxes)], [labelled(labels)], ratio)
    assert shown(found[1]) / shown(found[0]) == pytest.approx(ratio, rel=1 / 16)


def test_the_papers_mixture() -> None:
    """4 : 1 by showing COCO more often (section 4)."""
    found = mix([labelled(100)], [labelled(4000)], 4)
    assert [one[0].repeats for one in found] == [10, 1]


def test_repeats_among_sets_are_kept() -> None:
    boxes, _ = mix([labelled(10, 3), labelled(10)], [labelled(320)], 4)
    assert [one.repeats for one in boxes] == [6, 2]


def test_one_kind_alone_is_left_as_it_is() -> None:
    alone = [labelled(3)]
    assert mix(alone, [], 4) == (alone, [])


def test_a_run_reads_its_sets_from_an_index(tmp_path: Path) -> None:
    write_data(tmp_path)
    sets = (str(tmp_path / "labelled"), "tiny")
    build_index(IndexConfiguration(sets=sets, output=tmp_path / "index", data=tmp_path, processes=1))
    run = tiny_run(tmp_path, tmp_path / "run", strict=True)
    plain, indexed = (
        read_data(run.model_copy(update={"index": index}), packaged_tree(), ()) for index in (None, tmp_path / "index")
    )
    assert [list(one.pictures.names()) for one in indexed.sources] == [
        list(one.pictures.names()) for one in plain.sources
    ]
    assert (indexed.labelled, indexed.boxed) == (plain.labelled, plain.boxed)


def test_sets_in_shards_are_mixed_with_others(tmp_path: Path) -> None:
    write_data(tmp_path)
    write_boxed(tmp_path / "boxed")
    write_labelled(tmp_path / "labels")
    shards = [{"source": str(tmp_path / name), "repeats": 2} for name in ("boxed", "labels")]
    places = {"annotations": tmp_path / "annotations" / "tiny.json", "pictures": tmp_path / "images" / "tiny"}
    for detection in ([], [places]):
        data = read_data(tiny_run(tmp_path, tmp_path / "run", shards=shards, detection=detection), packaged_tree(), ())
        assert [len(one.pictures) for one in data.sources] == [*[16] * len(detection), 9, 8, 9]
    assert {packaged_tree().wnids[node] for node in data.boxed} >= {"n02084071", "n02121620"}
    with pytest.raises(InvalidDatasetError, match="none of the sets has boxes"):
        read_data(tiny_run(tmp_path, tmp_path / "run", shards=shards[1:], detection=[]), packaged_tree(), ())
    with pytest.raises(ValueError, match="give a set of pictures with boxes, there or in `shards`"):
        tiny_run(tmp_path, tmp_path / "run", detection=[])


def test_pictures_of_both_kinds_are_held_out(tmp_path: Path) -> None:
    write_data(tmp_path)
    places = {"annotations": tmp_path / "annotations" / "tiny.json", "pictures": tmp_path / "images" / "tiny"}
    run = tiny_run(tmp_path, tmp_path / "run", detection=[{**places, "held_out_every": 3}])
    boxes, labels = read_data(run, packaged_tree(), ()).sources
    assert (len(boxes.pictures), len(labels.pictures)) == (11, 8)

"""The anchors command: from boxes to a table, files and a plot."""

import csv
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.training.data.shards.shards import write_boxed, write_labelled
from tests.training.tiny_data import write_data
from training.__main__ import main
from training.command_line import ConfigurationError
from training.commands.anchors import AnchorsConfiguration, AnchorsReport, find_anchors
from training.configurations.sources import BoxSource
from training.data.formats.detection_set import InvalidDatasetError
from training.data.index.sets import ShardSource


@pytest.fixture
def source(tmp_path: Path) -> BoxSource:
    """A set whose boxes are all 30 x 25 px, on pictures of different size."""
    write_data(tmp_path)
    return BoxSource(annotations=tmp_path / "annotations" / "tiny.json", pictures=tmp_path / "images" / "tiny")


def test_anchors_are_in_cells_of_the_letterboxed_input(source: BoxSource) -> None:
    report = find_anchors(AnchorsConfiguration(sets=(source,), most=2, size=96, seed=3))
    assert (report.boxes, [one.count for one in report.clusters]) == (15, [1, 2])
    width, height = report.clusters[0].anchors[0]
    assert width / height == pytest.approx(30 / 25)
    assert 30 / 96 * 3 <= width <= 30 / 64 * 3  # the longer side of every picture is 64 to 96 px
    assert report.clusters[0].average_iou <= report.clusters[1].average_iou <= 1
    assert report == find_anchors(AnchorsConfiguration(sets=(source,), most=2, size=96, seed=3))


def test_pictures_that_cannot_be_used_are_refused(source: BoxSource) -> None:
    assert source.pictures is not None
    for number in (3, 5):
        (source.pictures / f"{number}.png").write_bytes(b"")
    with pytest.raises(InvalidDatasetError, match=r"2 of 16 pictures cannot be used: .*3\.png .*5\.png"):
        find_anchors(AnchorsConfiguration(sets=(source,)))


def test_tables_and_plot(source: BoxSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = json.dumps({"annotations": str(source.annotations), "pictures": str(source.pictures)})
    arguments = ["anchors", "--sets", one, "--least", "2", "--most", "3", "--restarts", "2"]
    for name in ("table.csv", "table.json", "table.txt"):
        assert main([*arguments, "--output", str(tmp_path / name), "--plot", str(tmp_path / f"{name}.svg")]) == 0
        printed = capsys.readouterr().out
    assert (tmp_path / "table.txt").read_text() == printed
    assert printed.splitlines()[0] == "15 boxes, input 416 px (13 cells of 32 px a side)"
    report = AnchorsReport.model_validate_json((tmp_path / "table.json").read_text())
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [(int(row["clusters"]), float(row["width"])) for row in rows] == [
        (clusters.count, width) for clusters in report.clusters for width, _ in clusters.anchors
    ]
    assert "<svg" in (tmp_path / "table.csv.svg").read_text()


def test_boxes_in_shards(source: BoxSource, tmp_path: Path) -> None:
    write_boxed(tmp_path / "boxed")
    write_labelled(tmp_path / "labelled")
    boxed, labelled = (ShardSource(source=str(tmp_path / name)) for name in ("boxed", "labelled"))
    alone = find_anchors(AnchorsConfiguration(shards=(boxed,), most=1))
    assert alone.boxes == 9
    assert find_anchors(AnchorsConfiguration(sets=(source,), shards=(boxed,), most=1)).boxes == 24
    with pytest.raises(InvalidDatasetError, match="labelled: has no boxes"):
        find_anchors(AnchorsConfiguration(shards=(labelled,)))
    with pytest.raises(ValidationError, match="give a set of pictures with boxes, there or in `shards`"):
        AnchorsConfiguration()


def test_more_clusters_than_boxes(source: BoxSource) -> None:
    with pytest.raises(ConfigurationError, match=r"most: the sets have \d+ boxes of different size"):
        find_anchors(AnchorsConfiguration(sets=(source,), most=16))


@pytest.mark.parametrize(
    "wrong", [{"least": 4, "most": 3}, {"output": "a.xml"}, {"plot": "a.gif"}, {"size": 400}, {"sets": ()}]
)
def test_wrong_values_are_refused(source: BoxSource, wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AnchorsConfiguration.model_validate({"sets": (source,), **wrong})

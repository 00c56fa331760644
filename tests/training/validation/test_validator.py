"""A run is scored as its model file is, on the sets that go without saying or are named."""

import json
from pathlib import Path

import pytest

from model.tree_files import packaged_tree
from tests.training.tiny_data import tiny_run, write_data
from training.__main__ import main
from training.commands.evaluate import EvaluateConfiguration, evaluate
from training.commands.export import ExportConfiguration, export_run
from training.commands.train import train_detector
from training.validation.sets import validation_sets

SCORED = {"ap50", "ap", "recall", "lineage"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def tiny(root: Path) -> dict[str, object]:
    return {"annotations": root / "annotations/tiny.json", "pictures": root / "images/tiny"}


@pytest.mark.slow
def test_the_scores_are_those_of_the_model_file(root: Path, tmp_path: Path) -> None:
    validation = {"sets": [tiny(root)], "every": 2, "best_by": "loss", "size": 96}
    run = tmp_path / "run"
    assert train_detector(tiny_run(root, run, validation=validation))
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    logged = {one["step"]: one for one in entries if "validation/loss" in one}
    assert set(logged) == {2, 4}
    best = min(logged, key=lambda step: logged[step]["validation/loss"])
    for checkpoint, step in (("best", best), ("last", 4)):
        model = tmp_path / f"{checkpoint}.onnx"
        export_run(ExportConfiguration(run=run, output=model, checkpoint=checkpoint, sizes=(96,)))
        (report,) = evaluate(EvaluateConfiguration(model=model, data=root, sets=("tiny",), threads=1)).sets
        expected = {"ap50": report.ap50, "ap": report.ap, "recall": report.recall}
        for name, value in expected.items():
            assert logged[step][f"validation/{name}"] == pytest.approx(value, abs=2e-3), (checkpoint, name)
        if report.lineage[0].accuracy is not None:
            assert logged[step]["validation/lineage"] == pytest.approx(report.lineage[0].accuracy, abs=2e-3)


@pytest.mark.slow
def test_of_several_sets_the_mean_and_each(root: Path, tmp_path: Path) -> None:
    other = {**tiny(root), "annotations": root / "annotations/other.json"}
    content = json.loads((root / "annotations/tiny.json").read_text())
    content["images"] = content["images"][:3]
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] < 3]
    (root / "annotations/other.json").write_text(json.dumps(content))
    run = tmp_path / "run"
    train_detector(tiny_run(root, run, validation={"sets": [tiny(root), other], "every": 4}))
    (entry,) = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for name in ("recall", "loss"):
        both = [entry[f"validation/{part}/{name}"] for part in ("tiny", "other")]
        assert entry[f"validation/{name}"] == pytest.approx(sum(both) / 2, abs=1e-4)


def test_what_is_held_out_is_scored_where_nothing_is_named(root: Path, tmp_path: Path) -> None:
    tree = packaged_tree()
    held_out = tiny_run(root, tmp_path, detection=[{**tiny(root), "held_out_every": 4}])
    (found,) = validation_sets(held_out, tree)
    assert [picture.path.stem for picture in found.pictures] == ["11", "15", "5", "9"]
    assert validation_sets(tiny_run(root, tmp_path), tree) == []
    never = tiny_run(root, tmp_path, detection=[{**tiny(root), "held_out_every": 4}], validation={"every": 0})
    assert validation_sets(never, tree) == []


def test_the_part_val_of_a_data_yaml_is_scored_where_nothing_is_named(root: Path, tmp_path: Path) -> None:
    for part, number in (("train", 4), ("valid", 5)):
        (tmp_path / part / "images").mkdir(parents=True)
        (tmp_path / part / "labels").mkdir()
        (tmp_path / part / "images/a.png").write_bytes((root / f"images/tiny/{number}.png").read_bytes())
        (tmp_path / part / "labels/a.txt").write_text("0 .5 .5 .2 .2\n")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnames: [n02084071]\n")
    for given in (tmp_path / "data.yaml", tmp_path):
        (found,) = validation_sets(tiny_run(root, tmp_path, detection=[{"annotations": given}]), packaged_tree())
        assert [picture.path.parts[-3] for picture in found.pictures] == ["valid"]
    (tmp_path / "data.yaml").write_text("train: ../train/images\nnames: [n02084071]\n")
    assert validation_sets(tiny_run(root, tmp_path, detection=[{"annotations": tmp_path}]), packaged_tree()) == []


def test_an_export_that_is_not_split_is_not_scored_on_what_it_trains_on(root: Path, tmp_path: Path) -> None:
    content = json.loads((root / "annotations/tiny.json").read_text())
    for one in content["images"]:
        one["file_name"] = str(root / "images/tiny" / one["file_name"])
    (tmp_path / "result.json").write_text(json.dumps(content))
    assert validation_sets(tiny_run(root, tmp_path, detection=[{"annotations": tmp_path}]), packaged_tree()) == []


def test_of_many_pictures_some_are_scored_evenly(root: Path, tmp_path: Path) -> None:
    run = tiny_run(root, tmp_path, validation={"sets": [tiny(root)], "most_pictures": 4})
    (found,) = validation_sets(run, packaged_tree())
    assert [picture.path.stem for picture in found.pictures] == ["0", "4", "8", "12"]


def test_a_set_that_cannot_be_used_is_told_before_the_run(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = json.dumps({"annotations": str(root / "annotations/tiny.json"), "pictures": str(root / "images/tiny")})
    wrong = json.dumps([{"annotations": "none.json", "pictures": "images"}])
    arguments = ["train", "--output", str(tmp_path / "run"), "--detection", given, "--validation.sets", wrong]
    assert main(arguments) == 2
    assert "none.json: the annotations cannot be read" in capsys.readouterr().err

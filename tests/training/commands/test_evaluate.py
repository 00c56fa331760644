"""The command: where sets are looked for, what is written, what is refused."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.archives import tar
from tests.model_files import node, tiny_metadata, write_tiny_model
from tests.training.detection_sets import Drawn, write_pictures
from training.command_line import ConfigurationError
from training.commands.evaluate import EvaluateConfiguration, evaluate
from training.data.formats.detection_set import InvalidDatasetError
from training.evaluation.report import Report


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_pictures(tmp_path, [[Drawn((8, 8, 30, 40), "red", "beagle")]], name="red")
    write_pictures(tmp_path, [[Drawn((8, 8, 30, 40), "blue", "car")], []], name="blue")
    return write_tiny_model(tmp_path / "tiny.onnx")


def test_sets_by_name_and_by_path(model: Path, tmp_path: Path) -> None:
    by_path = f"{tmp_path}/annotations/blue.json:{tmp_path}/images/blue"
    output = tmp_path / "runs" / "report.json"
    report = evaluate(
        EvaluateConfiguration(model=model, data=tmp_path, sets=("red", by_path), output=output, threads=1)
    )
    assert [(one.name, one.pictures) for one in report.sets] == [("red", 1), ("blue", 2)]
    assert [one.ap50 for one in report.sets] == pytest.approx([1, 0])
    assert (report.model.name, report.model.version) == ("tiny", "1.2.3")
    assert report.model.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert report.configuration["iou"] == 0.45
    assert Report.model_validate_json(output.read_text()) == report
    assert json.loads(output.read_text())["sets"][0]["ap50"] == pytest.approx(1)
    assert [path.name for path in output.parent.iterdir()] == ["report.json"]


def test_the_table(model: Path, tmp_path: Path) -> None:
    report = evaluate(EvaluateConfiguration(model=model, data=tmp_path, sets=("red", "blue"), threads=1))
    scores, lineage, others = report.table().split("\n\n")
    assert [line.split()[0] for line in others.splitlines()] == ["set", "red", "blue"]
    assert [line.split() for line in scores.splitlines()] == [
        ["set", "pictures", "boxes", "categories", "untrained", "AP50", "AP", "recall"],
        ["red", "1", "1", "1", "0", "100.0", "100.0", "100.0"],
        ["blue", "2", "1", "1", "1", "0.0", "0.0", "100.0"],
    ]
    assert [line.split() for line in lineage.splitlines()[1:]] == [
        ["red", "0.5", "100.0", "100.0", "100.0", "0.0", "0.0", "0.0"],
        ["red", "0", "100.0", "100.0", "100.0", "0.0", "0.0", "0.0"],
        ["blue", "0.5", "100.0", "0.0", "0.0", "0.0", "0.0", "100.0"],
        ["blue", "0", "100.0", "0.0", "0.0", "0.0", "0.0", "100.0"],
    ]


def test_a_share_of_nothing_is_a_dash(model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path, [[]], name="empty")
    table = evaluate(EvaluateConfiguration(model=model, data=tmp_path, sets=("empty",), threads=1)).table()
    assert table.split("\n")[1].split() == ["empty", "1", "0", "0", "0", "-", "-", "-"]
    assert table.split("\n")[4].split() == ["empty", "0.5", *"------"]


def test_a_size_the_model_does_not_take(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="size: the model takes 64, 96, 128 px, not 100 px"):
        evaluate(EvaluateConfiguration(model=model, data=tmp_path, sets=("red",), size=100, threads=1))


def test_every_set_is_read_before_the_first_is_scored(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    with pytest.raises(InvalidDatasetError, match=r"annotations/none\.json: the annotations cannot be read"):
        evaluate(EvaluateConfiguration(model=model, data=tmp_path, sets=("red", "none"), output=output, threads=1))
    assert not output.exists()


def test_pictures_of_single_things(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "beagles" / "n02088364"
    folder.mkdir(parents=True)
    for name in ("1.png", "2.png", "3.png"):
        shutil.copy(tmp_path / "images" / "red" / "7.png", folder / name)
    report = evaluate(EvaluateConfiguration(model=model, pictures=(folder.parent,), held_out_every=3, threads=1))
    (pictures,) = report.pictures
    assert (pictures.name, pictures.pictures, pictures.nothing, pictures.lineage[0].exact) == ("beagles", 1, 0, 1)
    assert report.table().splitlines()[3].split()[:4] == ["beagles", "0.5", "100.0", "100.0"]


def test_pictures_of_sets_that_training_kept_out(model: Path, tmp_path: Path) -> None:
    report = evaluate(
        EvaluateConfiguration(model=model, data=tmp_path, sets=("blue",), sets_held_out_every=2, threads=1)
    )
    assert report.sets[0].pictures == 1


def test_sets_that_had_boxes_are_named_or_told_by_the_model_file(model: Path, tmp_path: Path) -> None:
    def had_boxes(**changes: object) -> list[bool | None]:
        given = {"model": model, "data": tmp_path, "sets": ("red", "blue"), "threads": 1, **changes}
        report = evaluate(EvaluateConfiguration.model_validate(given))
        return [category.had_boxes for one in report.sets for category in one.categories]

    assert had_boxes() == [None, None]
    assert had_boxes(boxed=("red",)) == [True, False]
    told = write_tiny_model(tmp_path / "told.onnx", tiny_metadata(boxed=(node("beagle"),)))
    assert had_boxes(model=told) == [True, False]


def test_sets_in_shards(model: Path, tmp_path: Path) -> None:
    """They score as the same pictures do as single files."""
    picture = (tmp_path / "images" / "red" / "7.png").read_bytes()
    box = json.dumps({"annotations": [{"bbox": [8, 8, 30, 40], "category": "beagle"}]}).encode()
    tar(tmp_path / "boxed.tar", [("7.png", picture), ("7.json", box)])
    tar(tmp_path / "labelled.tar", [("beagle/7.png", picture)])
    shards = tuple(str(tmp_path / name) for name in ("boxed.tar", "labelled.tar"))
    report = evaluate(EvaluateConfiguration(model=model, data=tmp_path, sets=("red", *shards), threads=1))
    files, boxed = report.sets
    assert boxed == files.model_copy(update={"name": "boxed.tar"})
    (labelled,) = report.pictures
    assert (labelled.name, labelled.pictures) == (shards[1], 1)
    with pytest.raises(ConfigurationError, match=r"boxed: .*labelled.tar has labels alone"):
        evaluate(EvaluateConfiguration(model=model, data=tmp_path, sets=("red",), boxed=shards, threads=1))


def test_at_least_one_set_is_needed() -> None:
    with pytest.raises(ValidationError):
        EvaluateConfiguration()


def test_every_option_is_explained() -> None:
    for name, field in EvaluateConfiguration.model_fields.items():
        assert field.description, name


def test_a_data_yaml_is_scored_on_its_val(model: Path, tmp_path: Path) -> None:
    for split, label in {"train": "1", "val": "0"}.items():
        labels = tmp_path / "labels" / split
        labels.mkdir(parents=True)
        shutil.copytree(tmp_path / "images" / "red", tmp_path / "images" / split)
        for picture in (tmp_path / "images" / split).iterdir():
            (labels / f"{picture.stem}.txt").write_text(f"{label} 0.24 0.29 0.31 0.42\n")
    yaml = tmp_path / "data.yaml"
    beagle, car = (tiny_metadata().tree.wnids[node(name)] for name in ("beagle", "car"))
    yaml.write_text(f"train: images/train\nval: images/val\nnames: [{beagle}, {car}]\n")
    (score,) = evaluate(EvaluateConfiguration(model=model, sets=(str(yaml),), threads=1)).sets
    assert (score.name, score.pictures) == (f"{tmp_path.name}-val", 1)
    assert score.ap50 == pytest.approx(1)

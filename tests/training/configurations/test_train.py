"""What a run can be made of, and what it cannot."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

import training
from training.command_line import configure, explain
from training.commands.export import ExportConfiguration
from training.commands.refit import RefitConfiguration
from training.configurations.pretrain import PretrainConfiguration
from training.configurations.train import NetworkConfiguration, TrainConfiguration
from training.losses.region import ObjectnessLoss, RegionLossConfiguration

RUNS = sorted((Path(training.__file__).parent / "configurations").glob("*.yaml"))

LEAST: dict[str, Any] = {
    "output": "runs/a",
    "detection": [{"annotations": "a.json", "pictures": "a"}],
    "network": {"name": "yolov2", "anchors": [[1, 2]]},
}


def test_the_least_there_is_to_say() -> None:
    found = TrainConfiguration.model_validate(LEAST)
    assert found.output == Path("runs/a")
    assert found.detection[0].repeats == 1
    assert not found.classification
    assert list(found.network.anchors or ()) == [(1, 2)]
    assert not found.resume


def test_it_survives_being_written() -> None:
    found = TrainConfiguration.model_validate(LEAST)
    assert TrainConfiguration.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_the_runs_that_come_with_the_package(path: Path) -> None:
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "own-classes":  # its sets and its output are the user's, given as flags
        text |= {key: LEAST[key] for key in ("output", "detection")}
    if path.stem.endswith("-refit"):
        assert RefitConfiguration.model_validate(text).shares["coco_train"] == 5
        return
    kind = PretrainConfiguration if path.stem.startswith("darknet19") else TrainConfiguration
    found = kind.model_validate(text)
    assert not found.resume
    if isinstance(found, TrainConfiguration):
        assert len(found.network.design().anchors) == (3 if found.network.name in {"yolo9000", "yolov2-lite"} else 6)


def test_a_teacher_is_for_yolov2_lite() -> None:
    assert TrainConfiguration.model_validate({**LEAST, "network": {}, "teacher": "t.onnx"}).teacher == Path("t.onnx")
    with pytest.raises(ValidationError, match=r"teacher: only yolov2-lite learns from one, not yolov2\b"):
        TrainConfiguration.model_validate({**LEAST, "teacher": "t.onnx"})


@pytest.mark.parametrize(
    ("network", "loss", "expected"),
    [
        ({}, {}, (1, ObjectnessLoss.FOCAL)),
        ({"name": "yolov2-lite"}, {"iou_scale": 2}, (2, ObjectnessLoss.FOCAL)),
        ({"name": "yolov2"}, {}, (0, ObjectnessLoss.SQUARED)),
        (NetworkConfiguration(), {"objectness": "squared"}, (1, ObjectnessLoss.SQUARED)),
        ({}, RegionLossConfiguration(iou_scale=3), (3, ObjectnessLoss.SQUARED)),
    ],
)
def test_yolov2_lite_has_losses_of_its_own(network: Any, loss: Any, expected: tuple[float, ObjectnessLoss]) -> None:
    made = TrainConfiguration.model_validate({**LEAST, "network": network, "loss": loss})
    assert (made.loss.iou_scale, made.loss.objectness) == expected
    assert TrainConfiguration.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], (1, 1, ObjectnessLoss.FOCAL)),
        (["--loss.coordinate-scale", "2"], (1, 2, ObjectnessLoss.FOCAL)),
        (["--loss.iou-scale", "3"], (3, 1, ObjectnessLoss.FOCAL)),
        (["--network.name", "yolov2"], (0, 1, ObjectnessLoss.SQUARED)),
    ],
)
def test_yolov2_lite_has_them_on_the_command_line_too(
    flags: list[str], expected: tuple[float, float, ObjectnessLoss]
) -> None:
    detection = '{"annotations": "a.json", "pictures": "a"}'
    made = configure(TrainConfiguration, "train", ["--output", "run", "--detection", detection, *flags]).loss
    assert (made.iou_scale, made.coordinate_scale, made.objectness) == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"output": None}, "output: is needed"),
        ({"detection": []}, "detection: give a set of pictures with boxes, there or in `shards`"),
        ({"detection": [{"annotations": "a.json"}]}, "detection.0: a.json needs the folder of its pictures"),
        ({"sizes": [64, 100]}, "sizes.1: input should be a multiple of 32, not 100"),
        ({"sizes": [0]}, "sizes.0: input should be greater than 0, not 0"),
        ({"sizes": []}, "sizes: needs at least 1 of them"),
        ({"seed": -1}, "seed: input should be greater than or equal to 0, not -1"),
        ({"network": {"anchors": []}}, "network.anchors: needs at least 1 of them"),
        ({"network": {"anchors": [[1, 0]]}}, "network.anchors.0.1: input should be greater than 0, not 0"),
        (
            {"network": {**LEAST["network"], "name": "other"}},
            (
                "network.name: input should be 'yolov2-lite', 'yolov2-efficientnet', 'yolov2', 'yolov2-voc', "
                "'yolov2-tiny', 'yolov2-tiny-voc' or 'yolo9000', not 'other'"
            ),
        ),
        ({"mixing": 0}, "mixing: input should be greater than 0, not 0"),
        ({"network": 3}, "network: needs keys of its own"),
        ({"optimizer": {"steps": -1}}, "optimizer.steps: input should be greater than or equal to 0, not -1"),
        ({"optimizer": {"average_decay": 1}}, "optimizer.average_decay: input should be less than 1"),
        ({"loop": {"wrokers": 1}}, "loop.wrokers: there is no such key"),
        ({"augmentation": {"largest_scale": 0.5}}, "augmentation: smallest_scale 0.6 exceeds largest_scale 0.5"),
        ({"epochs": 3}, "epochs: there is no such key"),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], reason: str) -> None:
    """Each mistake is told in one line, and nothing but the mistake."""
    values = {key: value for key, value in {**LEAST, **changes}.items() if value is not None}
    with pytest.raises(ValidationError) as caught:
        TrainConfiguration.model_validate(values)
    (line,) = explain(caught.value).splitlines()
    assert line.startswith(f"  {reason}")


def test_every_mistake_is_told_and_long_values_are_cut() -> None:
    values = {**LEAST, "seed": "x" * 500, "epochs": 3, "network": {"anchors": [[1, 2], 3, "four"]}}
    with pytest.raises(ValidationError) as caught:
        TrainConfiguration.model_validate(values)
    lines = explain(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines] == [
        "network.anchors.1",
        "network.anchors.2",
        "seed",
        "epochs",
    ]
    assert max(map(len, lines)) < 160
    assert lines[2].endswith("xxx...")


def fields(kind: type[BaseModel]) -> list[tuple[str, Any]]:
    """Return the fields of a configuration and of those inside it."""
    found = []
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += [(f"{name}.{inner}", value) for inner, value in fields(field.annotation)]
        else:
            found.append((name, field))
    return found


@pytest.mark.parametrize("kind", [TrainConfiguration, PretrainConfiguration, ExportConfiguration])
def test_every_option_is_explained(kind: type[BaseModel]) -> None:
    found = fields(kind)
    assert len(found) > 8
    for name, field in found:
        assert field.description, name


def test_the_size_without_which_an_export_cannot_be() -> None:
    with pytest.raises(ValidationError, match=r"default_size 416 is not one of the sizes \(320, 352\)"):
        ExportConfiguration(run=Path("run"), output=Path("a.onnx"), sizes=(320, 352), default_size=416)
    for sizes, expected in (((320, 416, 512), 416), ((320, 352), 352), ((512, 544), 512)):
        assert ExportConfiguration(run=Path("run"), output=Path("a.onnx"), sizes=sizes).served_size == expected
    with pytest.raises(ValidationError, match="multiple of 32"):
        ExportConfiguration(run=Path("run"), output=Path("a.onnx"), sizes=(400, 416))

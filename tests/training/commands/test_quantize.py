from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from pydantic import ValidationError

from model.runtime import OnnxDetector
from tests.training.export.quantization.square_detector import LOUD, QUIET, SIZE, Squares, write_model, write_squares
from training.__main__ import FAILED, main
from training.command_line import ConfigurationError
from training.commands.quantize import (
    _Attempt,
    calibration_files,
    quantize,
)
from training.configurations.quantize import QuantizeConfiguration
from training.export.quantization.errors import QuantizationError
from training.export.quantization.gate import AccuracyGate
from training.export.quantization.report import QuantizeReport

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {constant: write_model(folder / f"{constant:g}.onnx", constant) for constant in (QUIET, LOUD)}


@pytest.fixture
def squares(tmp_path: Path) -> Squares:
    return write_squares(tmp_path)


def configuration(model: Path, squares: Squares, **changes: Any) -> QuantizeConfiguration:
    given = {
        "model": model,
        "output": squares.annotations.with_name("int8.onnx"),
        "calibration": (squares.pictures,),
        "sets": (squares.given,),
    }
    return QuantizeConfiguration.model_validate(given | changes)


def scores(report: QuantizeReport) -> list[float | None]:
    return [one.ap50 for one in (*report.before, *report.after)]


def quantisation(path: Path) -> Any:
    return OnnxDetector.load(path).metadata.training["quantisation"]


def test_a_network_that_can_be_quantised_is(models: dict[float, Path], squares: Squares) -> None:
    model = models[QUIET]
    report = quantize(configuration(model, squares))
    detector = OnnxDetector.load(report.output)

    assert scores(report) == [1, 1]
    assert (report.layers, report.in_float) == (3, ())
    assert report.disagreement < 0.2
    assert detector.metadata.evaluation["sets"]["tiny"]["ap50"] == 1  # type: ignore[index, call-overload]
    assert quantisation(report.output)["gate"] == {"most_fall": 0.01}
    assert detector.metadata.training["steps"] == 0
    original = OnnxDetector.load(model).metadata
    assert detector.metadata.model_copy(update={"training": {}, "evaluation": {}}) == original.model_copy(
        update={"training": {}, "evaluation": {}}
    )
    kinds = [node.op_type for node in onnx.load(report.output).graph.node]
    assert "QuantizeLinear" in kinds
    assert "AP50 100.0 -> 100.0" in report.table()


def test_the_default_threshold_is_the_original_s_or_what_is_asked_for(
    models: dict[float, Path], squares: Squares
) -> None:
    before = OnnxDetector.load(models[QUIET]).metadata.thresholds
    for objectness, expected in ((None, before.objectness), (0.4, 0.4)):
        report = quantize(configuration(models[QUIET], squares, objectness=objectness))
        after = OnnxDetector.load(report.output).metadata.thresholds
        assert after == before.model_copy(update={"objectness": expected})


def test_the_layers_that_hurt_stay_in_float(models: dict[float, Path], squares: Squares) -> None:
    report = quantize(configuration(models[LOUD], squares))

    assert scores(report) == [1, 1]
    assert len(report.in_float) == 2
    weights = [one for one in onnx.load(report.output).graph.initializer if len(one.dims) == 4]
    assert sorted(one.data_type == onnx.TensorProto.INT8 for one in weights) == [False, False, False, True]
    assert quantisation(report.output)["layers_in_float"] == list(report.in_float)


def test_a_file_that_answers_worse_is_not_written(
    models: dict[float, Path], squares: Squares, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked = _Attempt.by_sensitivity
    monkeypatch.setattr(_Attempt, "by_sensitivity", lambda attempt: ranked(attempt)[::-1])
    settings = configuration(models[LOUD], squares)

    with pytest.raises(QuantizationError, match=r"with 2 of 3 layers in float, tiny: AP50 fell from 100\.0 to \d\.\d;"):
        quantize(settings)

    assert not settings.output.exists()


def test_without_the_gate_it_is_written_and_says_so(models: dict[float, Path], squares: Squares) -> None:
    settings = configuration(models[LOUD], squares, sets=(), without_gate=True)
    report = quantize(settings)

    assert report.in_float == ()
    assert report.disagreement > 1
    assert quantisation(report.output)["gate"] == "none, as was asked for"
    assert OnnxDetector.load(report.output).metadata.evaluation == OnnxDetector.load(settings.model).metadata.evaluation


@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("eight_bits", [False, True])
def test_in_floats_it_answers_as_before(
    models: dict[float, Path], squares: Squares, precision: str, *, eight_bits: bool
) -> None:
    """Also from a file that computes with 8 bits, whose weights it keeps."""
    model = quantize(configuration(models[QUIET], squares)).output if eight_bits else models[QUIET]
    output = squares.annotations.with_name(f"{precision}.onnx")
    report = quantize(configuration(model, squares, precision=precision, calibration=(), output=output))
    assert scores(report) == [1, 1]
    assert f"the network computes in {precision}" in report.table()
    kinds = [node.op_type for node in onnx.load(output).graph.node]
    assert not {"QuantizeLinear", "DequantizeLinear"} & set(kinds)
    found, before = OnnxDetector.load(output), OnnxDetector.load(model)
    assert found.metadata.training["quantisation"]["gate"] == {"most_fall": 0.01}  # type: ignore[index, call-overload]
    pixels = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    pixels[:, :32, 32:64] = (255, 0, 0)
    (one,), (other,) = found.run(pixels, 0.25), before.run(pixels, 0.25)
    assert one.boxes == pytest.approx(other.boxes, abs=0.5)


def test_float16_that_answers_worse_is_not_written(
    models: dict[float, Path], squares: Squares, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AccuracyGate, "judge", lambda *_: ([], ["tiny: AP50 fell from 100.0 to 3.0"]))
    settings = configuration(models[QUIET], squares, precision="float16", calibration=())
    with pytest.raises(QuantizationError, match=r"no file is written: in float16, tiny: AP50 fell"):
        quantize(settings)
    assert not settings.output.exists()


def test_calibration_is_for_8_bits_alone(models: dict[float, Path], squares: Squares) -> None:
    for changes in ({"precision": "float16"}, {"calibration": ()}):
        with pytest.raises(ValidationError, match="calibration: int8 needs pictures"):
            configuration(models[QUIET], squares, **changes)


def test_named_layers_stay_in_float(models: dict[float, Path], squares: Squares) -> None:
    model = models[LOUD]
    names = [node.name for node in onnx.load(model).graph.node if node.op_type == "Conv"][:2]
    report = quantize(configuration(model, squares, in_float=tuple(names)))

    assert report.in_float == tuple(names)
    pixels = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    pixels[:, :32, 32:64] = (255, 0, 0)
    (found,) = OnnxDetector.load(report.output).run(pixels, 0.25)
    assert found.boxes == pytest.approx(np.array([[32, 0, 64, 32]]), abs=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 64}, "takes 96 px, not 64 px"),
        ({"in_float": ("nonsense",)}, "no layer 'nonsense'"),
        ({"calibration": ("nowhere",)}, "there is no picture in nowhere"),
    ],
)
def test_what_cannot_be_used(
    models: dict[float, Path], squares: Squares, changes: dict[str, Any], message: str
) -> None:
    model = models[QUIET]
    with pytest.raises(ConfigurationError, match=message):
        quantize(configuration(model, squares, **changes))


def test_a_calibration_file_that_is_no_picture(models: dict[float, Path], squares: Squares) -> None:
    text = squares.annotations.with_name("text.jpg")
    text.write_text("hello")
    with pytest.raises(ConfigurationError, match=r"text\.jpg: not a supported picture type"):
        quantize(configuration(models[QUIET], squares, calibration=(text,)))


def test_a_file_is_quantised_once(models: dict[float, Path], squares: Squares) -> None:
    report = quantize(configuration(models[QUIET], squares, sets=(), without_gate=True))
    with pytest.raises(ConfigurationError, match="quantised already"):
        quantize(configuration(report.output, squares, output=squares.annotations.with_name("twice.onnx")))


def test_the_gate_is_left_out_only_by_name(models: dict[float, Path], squares: Squares) -> None:
    for changes in ({"sets": ()}, {"without_gate": True}):
        with pytest.raises(ValidationError, match="give sets to score the file on, or without_gate"):
            configuration(models[QUIET], squares, **changes)


def test_calibration_pictures_are_picked_evenly(tmp_path: Path, squares: Squares) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.png").touch()
    (folder / "notes.txt").touch()
    chosen = calibration_files(configuration(tmp_path, squares, calibration=(folder,), calibration_pictures=4))

    assert [path.name for path in chosen] == ["0.png", "3.png", "6.png", "9.png"]


def test_the_command(
    models: dict[float, Path], tmp_path: Path, squares: Squares, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["quantize", "--model", str(models[QUIET]), "--output", str(tmp_path / "int8.onnx")]
    arguments += ["--calibration", str(squares.pictures)]

    assert main([*arguments, "--sets", squares.given]) == 0
    assert "3 of 3 layers with 8 bits" in capsys.readouterr().out
    assert main(arguments) == FAILED
    assert "without_gate" in capsys.readouterr().err

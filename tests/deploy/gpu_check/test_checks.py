"""The checks, rehearsed on a processor; what is to be found out is provoked where a rehearsal can."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from deploy.gpu_check import __main__ as command
from deploy.gpu_check import files, incidents, sessions
from deploy.gpu_check.pictures import pictures
from deploy.gpu_check.report import CheckError, Found, NotTried, carry_out, table
from model.runtime import default_model_path
from tests.model_files import tiny_metadata, write_tiny_model


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "LOADED_SECONDS", 0.3)


def test_whatever_a_check_does_is_an_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    def check(error: Exception | None) -> Found:
        if error is not None:
            raise error
        return Found("it holds | so far", {"figure": 1})

    causes = (None, CheckError("it does not"), NotTried("no card"), ZeroDivisionError("broken"))
    outcomes = [carry_out(str(number), partial(check, cause)) for number, cause in enumerate(causes)]
    assert [outcome.verdict for outcome in outcomes] == ["passed", "failed", "not tried", "failed"]
    assert outcomes[0].figures == {"figure": 1}
    assert outcomes[3].said == "ZeroDivisionError: broken"
    assert "Traceback" in capsys.readouterr().err
    assert table(outcomes).splitlines()[2] == "| 0 | passed | it holds / so far | 0 |"


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_a_rehearsal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = files.Precisions(default_model_path(), default_model_path())
    monkeypatch.setattr(files, "embedded", lambda _: shipped)
    monkeypatch.setattr(files, "yolo9000", lambda _: shipped)
    monkeypatch.setattr(command, "pictures", lambda _: pictures(None, 3))
    report = tmp_path / "report.json"
    arguments = ["gpu_check", "--provider", "cpu", "--files", str(tmp_path / "files"), "--output", str(report)]
    monkeypatch.setattr(sys, "argv", arguments)

    assert command.main() == 0

    found = json.loads(report.read_text())
    verdicts = {check["check"]: check["verdict"] for check in found["checks"]}
    assert found["rehearsal"]
    assert {name for name, verdict in verdicts.items() if verdict == "not tried"} == {"TensorRT", "memory"}
    assert set(verdicts.values()) == {"passed", "not tried"}
    shown = capsys.readouterr().out
    assert shown.startswith("yolo9000 ")
    assert shown.count("\n| ") == len(verdicts) + 1


@pytest.mark.slow
def test_without_a_card_only_a_rehearsal_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_check", "--files", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "--provider cpu rehearses" in capsys.readouterr().err


def test_a_provider_that_is_not_there() -> None:
    with pytest.raises(CheckError, match="no CUDAExecutionProvider"):
        sessions.providers("cuda", default_model_path())


@pytest.mark.slow
def test_a_service_that_goes_on_without_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "REFUSAL_SECONDS", 5)
    with pytest.raises(CheckError, match="goes on without one"):
        incidents.refuses_to_start("auto")


@pytest.mark.slow
def test_a_service_that_does_not_lose_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "LOSING", "yolo9000")
    monkeypatch.setattr(incidents, "NOTICE_SECONDS", 1)
    with pytest.raises(CheckError, match="it answers on within 1 s"):
        incidents.loses_its_card("cpu", pictures(None, 1))


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_a_new_file_that_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new.onnx").write_bytes(b"no model")
    model = write_tiny_model(tmp_path / "tiny.onnx", tiny_metadata())
    with pytest.raises(CheckError, match=r"the new file was refused: .*not an ONNX file"):
        incidents.swaps("cpu", model, tmp_path / "new.onnx", pictures(None, 2))


@pytest.mark.slow
def test_a_shape_that_is_slow_the_first_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seconds = iter([0.5, 0.01, 0.01, 0.01, *[0.01] * 8])
    monkeypatch.setattr(sessions, "_seconds", lambda *_: next(seconds))
    model = write_tiny_model(tmp_path / "tiny.onnx")
    with pytest.raises(CheckError, match=r"1 of 3 shapes are slow .*: 1 of 64 px: 500 ms, then 10"):
        sessions.warms_up("cpu", model)

"""The benchmark for GPUs, tried on a processor: every contender but the slow ones takes its turn."""

import json
import sys
from pathlib import Path

import pytest

from deploy.gpu_check import files
from model.runtime import default_model_path
from tests.benchmarks.gpu import __main__ as benchmark


@pytest.mark.slow
def test_every_contender_has_a_figure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = files.Precisions(default_model_path(), default_model_path())
    monkeypatch.setattr(files, "embedded", lambda _: shipped)
    report = tmp_path / "speed.json"
    few = "--batches 1 2 --clients 2 --seconds .05 --rounds 1 --processes 1 --precisions float16"
    parts = "--parts session engine http alone eager limits --provider cpu --networks embedded:320"
    places = ["--files", str(tmp_path), "--output", str(report)]
    monkeypatch.setattr(sys, "argv", ["gpu", *few.split(), *parts.split(), *places])

    benchmark.main()

    (found,) = json.loads(report.read_text())["pictures_a_second"].values()
    assert found.keys() == {
        *("session.run, 1", "session.run, 2", "engine", "engine / best session.run", "HTTP, 1", "decoding"),
        *("answering", "PyTorch, eager", "copying", "product", "operations, 10^12 a second"),
    }
    assert all(rate > 0 for rate in found.values())
    assert "| session.run, 2 |" in capsys.readouterr().out


def test_a_target_that_is_missed_is_told() -> None:
    results = {"embedded:512, float16": {"session.run, 8": 2000.0, "engine / best session.run": 0.5, "HTTP, 1": 1100.0}}
    assert benchmark.verdicts(results) == [
        "embedded:512, float16: engine at 0.50 of session.run, asked 0.9: NOT reached",
        "embedded:512, float16: 1100 pictures a second over HTTP, asked 1000: reached",
    ]


def test_networks_are_known(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("yolov3:416", "yolo9000", "yolo9000:400"):
        monkeypatch.setattr(sys, "argv", ["gpu", "--networks", name])
        with pytest.raises(SystemExit, match="2"):
            benchmark.main()
        assert f"{name}: not a network with its size" in capsys.readouterr().err

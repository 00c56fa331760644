"""The benchmark of training, tried with few and small pictures."""

import logging
import re
import sys

import pytest

from tests.benchmarks import bench_training


@pytest.mark.slow
def test_each_variant_has_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    small = "--networks darknet19 --variants float32 float32,contiguous --batch 2 --size 64 --rounds 1 --batches 1"
    monkeypatch.setattr(sys, "argv", ["bench_training", *small.split()])
    monkeypatch.setattr(logging, "disable", lambda _: None)  # it would last, for the tests that come after
    bench_training.main()
    shown = capsys.readouterr().out
    assert shown.count("batches of 2 at 64 px") == 2
    rates = [float(rate) for rate in re.findall(r"([\d.]+) pictures a second", shown)]
    assert len(rates) == 6
    assert min(rates) > 0
    assert shown.count("what holds it is") == 2


@pytest.mark.parametrize("variant", ["float8", "float32,quick", ""])
def test_a_variant_is_known(variant: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_training", "--variants", variant])
    with pytest.raises(SystemExit, match="2"):
        bench_training.main()
    assert "a precision, with contiguous and compiled after commas" in capsys.readouterr().err

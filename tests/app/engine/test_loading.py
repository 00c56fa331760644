from pathlib import Path
from typing import Any

import pytest

from app.engine.loading import CorePlan, load_detector, load_served, process_count
from app.load_settings import ConfigurationError
from app.settings import Settings
from model.runtime import OnnxDetector


@pytest.mark.parametrize(
    ("cores", "threads", "runs", "long_runs", "decoders"),
    [(1, 1, 2, 1, 2), (2, 2, 2, 1, 2), (4, 4, 4, 1, 2), (8, 4, 8, 2, 2), (16, 4, 16, 4, 4)],
)
def test_cores_are_shared_out(cores: int, threads: int, runs: int, long_runs: int, decoders: int) -> None:
    assert CorePlan.of(Settings(), cores) == CorePlan(1, cores, threads, runs, long_runs, decoders)


def test_what_is_set_comes_first() -> None:
    assert CorePlan.of(Settings(threads=2, runs=3, workers=5), 16) == CorePlan(1, 16, 2, 3, 3, 5)
    assert CorePlan.of(Settings(threads=2), 16).long_runs == 8
    assert CorePlan.of(Settings(threads=9), 2).long_runs == 1


def test_processes_share_the_cores() -> None:
    assert CorePlan.of(Settings(processes=2), 16) == CorePlan(2, 8, 4, 8, 2, 2)
    assert CorePlan.of(Settings(processes=3), 16).cores == 6
    assert CorePlan.of(Settings(processes=4), 2).cores == 1


@pytest.mark.parametrize(
    ("cores", "settings", "count"),
    [
        (1, {}, 1),
        (8, {}, 1),
        (9, {}, 2),
        (16, {}, 2),
        (64, {}, 8),
        (16, {"provider": "cuda"}, 1),
        (2, {"processes": 3}, 3),
    ],
)
def test_one_process_for_eight_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, settings: dict[str, Any], count: int
) -> None:
    monkeypatch.setattr("app.engine.loading.usable_cores", lambda: cores)
    assert process_count(Settings(**settings)) == count


def test_where_ports_cannot_be_shared_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("app.engine.loading.usable_cores", lambda: 64)
    assert process_count(Settings()) == process_count(Settings(processes=1)) == 1
    with pytest.raises(ConfigurationError, match="need Linux"):
        process_count(Settings(processes=2))


def test_a_service_takes_fewer_threads_for_a_run_than_a_command(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.loading.usable_cores", lambda: 16)
    asked: list[int | None] = []

    def load(path: Path, *, threads: int | None, **_: object) -> None:
        assert path == tiny_model
        asked.append(threads)

    monkeypatch.setattr(OnnxDetector, "load", load)
    load_served(Settings(model=tiny_model))
    load_detector(Settings(model=tiny_model))
    load_served(Settings(model=tiny_model, threads=7))
    load_detector(Settings(), tiny_model)
    assert asked == [4, None, 7, None]

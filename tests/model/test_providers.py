import os
from pathlib import Path

import pytest

from model.providers import provider_choices, usable_cores

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


def names(choices: list[list[tuple[str, dict[str, str]]]]) -> list[list[str]]:
    return [[name for name, _ in choice] for choice in choices]


def test_what_is_asked_for_has_no_way_round() -> None:
    assert names(provider_choices("cpu", [CUDA, CPU])) == [[CPU]]
    assert names(provider_choices("cuda", [CPU])) == [[CUDA, CPU]]
    assert names(provider_choices("tensorrt", [CPU])) == [[TENSORRT, CUDA, CPU]]


def test_auto_tries_cuda_where_it_is_installed_and_never_tensorrt() -> None:
    assert names(provider_choices("auto", [CPU])) == [[CPU]]
    assert names(provider_choices("auto", [TENSORRT, CUDA, CPU])) == [[CUDA, CPU], [CPU]]


def test_cuda_searches_no_algorithms_and_allocates_what_is_needed() -> None:
    (_, options), _ = provider_choices("cuda", [])[0]
    assert options == {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
    (_, options), _ = provider_choices("cuda", [], gpu_memory_limit=2**31)[0]
    assert options["gpu_mem_limit"] == "2147483648"


def test_tensorrt_keeps_its_engines_where_it_is_told() -> None:
    (_, without), *_ = provider_choices("tensorrt", [])[0]
    (_, options), *_ = provider_choices("tensorrt", [], cache=Path("/cache"))[0]
    assert without == {}
    assert options["trt_engine_cache_enable"] == "True"
    assert options["trt_engine_cache_path"] == "/cache"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight processors of four cores, and no limit."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for number in range(8):
        file = tmp_path / f"cpu{number}" / "topology" / "thread_siblings_list"
        file.parent.mkdir(parents=True)
        file.write_text(f"{number % 4},{number % 4 + 4}\n")
    return tmp_path


def cores(machine: Path) -> int:
    return usable_cores(machine, machine)


def test_the_two_threads_of_a_core_count_once(machine: Path) -> None:
    assert cores(machine) == 4


def test_without_a_description_of_the_processors_each_counts(machine: Path) -> None:
    assert usable_cores(machine / "none", machine / "none") == 8


def test_the_affinity_of_the_process_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 4})
    assert cores(machine) == 2


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 4), ("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("900000 100000", 4)],
)
def test_the_share_of_a_container_counts(machine: Path, quota: str, expected: int) -> None:
    (machine / "cpu.max").write_text(f"{quota}\n")
    assert cores(machine) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 4), ("300000", 3)])
def test_so_does_that_of_the_older_control_groups(machine: Path, quota: str, expected: int) -> None:
    (machine / "cpu").mkdir()
    (machine / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (machine / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert cores(machine) == expected


@pytest.mark.parametrize(
    ("outer", "inner", "expected"), [("max", "200000", 2), ("100000", "200000", 1), ("max", "max", 4)]
)
def test_so_do_those_of_the_groups_it_is_in(machine: Path, outer: str, inner: str, expected: int) -> None:
    (machine / "own").write_text("1:name=systemd:/elsewhere\n0::/system.slice/yolo9000.service\n")
    service = machine / "system.slice" / "yolo9000.service"
    service.mkdir(parents=True)
    (service / "cpu.max").write_text(f"{inner} 100000\n")
    (service.parent / "cpu.max").write_text(f"{outer} 100000\n")
    assert usable_cores(machine, machine, machine / "own") == expected


def test_this_machine_has_a_core() -> None:
    assert usable_cores() >= 1

"""What all tests share: a tiny model, which tests go to one worker and in what order, and where the time went.

pytest-xdist hands groups of tests to its workers. The tests of a file form a group, as they share fixtures; the page's
files form one, as they share a browser and a server.
"""

import os
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

from model.runtime import OnnxDetector
from tests.model_files import write_tiny_model

BROWSER_TESTS: Final = "tests/app/page"
LEAST_SECONDS: Final = 1.0
"""Parts that take less are not listed."""


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(("YOLO9000_", "OTEL_", "FASTAPI_OTEL_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def detector(tiny_model: Path) -> OnnxDetector:
    return OnnxDetector.load(tiny_model, threads=1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fast-limit",
        type=float,
        metavar="SECONDS",
        help="fail when a test without the marker slow takes longer, its fixtures not counted",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left alone with it at the end."""
    slow_groups = {_group(item.nodeid) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: _group(item.nodeid) not in slow_groups)


class _Groups(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist has no types
    """pytest-xdist's own groups (`--dist loadgroup`) are lost with pytest 9.2, whose ids no longer change."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Groups:
    return _Groups(config, log)


def _group(test: str) -> str:
    file = test.partition("::")[0]
    return BROWSER_TESTS if file.startswith(f"{BROWSER_TESTS}/") else file


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    limit = item.config.getoption("fast_limit")
    unmarked = report.when == "call" and item.get_closest_marker("slow") is None
    if limit is not None and unmarked and report.passed and report.duration > limit:
        report.outcome = "failed"
        report.longrepr = f"too slow without the marker slow: {report.duration:.1f} s, where {limit:g} s are allowed"
    return report


class _Seconds:
    """Where the time of a run went."""

    def __init__(self) -> None:
        self.of_parts: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.of_parts[_part(report.nodeid)] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        listed = sorted(self.of_parts.items(), key=lambda part: -part[1])
        terminalreporter.section("seconds in each part, all workers together")
        for part, seconds in listed:
            if seconds >= LEAST_SECONDS:
                terminalreporter.line(f"{seconds:8.1f}  {part}")


def _part(test: str) -> str:
    """Return the folder, at most three deep, or the file in `tests` that a test belongs to."""
    file = PurePosixPath(test.partition("::")[0])
    return "/".join(file.parts[:2] if len(file.parts) == 2 else file.parent.parts[:3])


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers send what they measure to the process that started them
        config.pluginmanager.register(_Seconds(), "seconds")

"""What a network refuses is tried again; what a disk answers is final."""

from collections.abc import Callable
from pathlib import Path

import pytest

from model.archives import patience
from model.archives.locations import LocalFolder, Location, locate
from model.archives.patience import patiently, words


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSES", (0.0, 0.0))


def failing(*errors: Exception) -> Callable[[], int]:
    """What raises these, one each time, and returns then how often it was called."""
    left, calls = list(errors), []

    def read() -> int:
        calls.append(1)
        if left:
            raise left.pop(0)
        return len(calls)

    return read


@pytest.fixture
def there() -> Location:
    return locate("memory://somewhere")


def test_a_network_is_tried_three_times(there: Location) -> None:
    told: list[tuple[str, float]] = []
    errors = [TimeoutError("slow"), RuntimeError("what libraries raise")]
    assert patiently(there, failing(*errors), told=lambda error, pause: told.append((words(error), pause))) == 3
    assert told == [("slow", 0.0), ("what libraries raise", 0.0)]
    with pytest.raises(RuntimeError, match="third"):
        patiently(there, failing(TimeoutError(), TimeoutError(), RuntimeError("third")))


@pytest.mark.parametrize("error", [FileNotFoundError(), PermissionError(), ZeroDivisionError()])
def test_what_would_not_change_is_not_tried_again(there: Location, error: Exception) -> None:
    with pytest.raises(type(error)):
        patiently(there, failing(error), final=(ZeroDivisionError,))


def test_a_disk_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="broken"):
        patiently(LocalFolder(tmp_path), failing(OSError("broken")))


def test_words() -> None:
    assert words(FileNotFoundError(2, "No such file or directory", "x")) == "No such file or directory"
    assert words(ValueError("so")) == "so"
    assert words(TimeoutError()) == "TimeoutError"

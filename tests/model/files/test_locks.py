"""A lock is held by one alone, and by nobody who is gone."""

import threading
from pathlib import Path

import pytest

from model.files.locks import locked


@pytest.mark.parametrize("name", ["", ".lock"])
def test_it_is_held_by_one_alone(tmp_path: Path, name: str) -> None:
    """Of a folder and of a file; two openings in one process are told apart like those of two."""
    path = tmp_path / name
    with locked(path, wait=False), pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
    with locked(path, wait=False):
        pass


def test_who_waits_gets_it(tmp_path: Path) -> None:
    got = threading.Event()

    def wait() -> None:
        with locked(tmp_path, wait=True):
            got.set()

    waiting = threading.Thread(target=wait)
    with locked(tmp_path, wait=False):
        waiting.start()
        assert not got.wait(0.1)
    assert got.wait(10)
    waiting.join()


def test_what_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked(tmp_path / "nowhere" / ".lock", wait=False):
        pass

"""Results are whole files or none."""

from pathlib import Path

import pytest

from training.files import replace_file


def test_a_file_is_replaced_and_nothing_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    for content in (b"one", b"two"):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert [one.name for one in path.parent.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="a"):
        replace_file(tmp_path / "a", b"content")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]

"""What a refit saw is kept in a file, and used again for the same pictures, seen the same way, alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from training.command_line import ConfigurationError
from training.data.box_examples import BoxExamples
from training.data.class_examples import ClassExamples
from training.runs.refit.kept_look import Look, keep_look, kept_look

OF: dict[str, Any] = {"network": "digest", "sizes": (480, 512), "sets": {"pictures": 3}}


def look(*, boxes: bool = True) -> Look:
    numbers = torch.arange(12.0)
    objects = ClassExamples(
        numbers.view(3, 4).half(), numbers.view(4, 3)[:3].half(), torch.tensor([2, 0, 1]), torch.zeros(3).long()
    )
    some = BoxExamples(
        numbers.view(2, 6).half(), numbers[:2], numbers[:2] / 2, torch.tensor([True, False]), torch.ones(2).long()
    )
    return Look(objects, some if boxes else None)


@pytest.mark.parametrize("boxes", [True, False])
def test_it_is_read_as_it_was_written(tmp_path: Path, boxes: bool) -> None:
    path, kept = tmp_path / "new" / "look.safetensors", look(boxes=boxes)
    keep_look(path, kept, OF)
    found = kept_look(path, {**OF, "sizes": [480, 512]})  # as JSON has it

    assert found is not None
    for before, after in zip(kept, found, strict=True):
        assert (before is None) is (after is None)
        for one, other in zip(before or (), after or (), strict=True):
            assert torch.equal(one, other)
            assert one.dtype == other.dtype
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_there_is_none_yet(tmp_path: Path) -> None:
    assert kept_look(tmp_path / "look.safetensors", OF) is None


def test_one_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "look.safetensors"
    keep_look(path, look(), OF)
    with pytest.raises(ConfigurationError, match=r"^look: .*look\.safetensors .*: sizes, seed differ"):
        kept_look(path, {**OF, "sizes": (480,), "seed": 0})


def test_what_is_no_look_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match=r"other\.safetensors is not what a refit saw"):
        kept_look(path, OF)
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(ConfigurationError, match=r"is not what a refit saw \('look_of'\)"):
        kept_look(path, OF)
    keep_look(path, look(), OF)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ConfigurationError, match="is not what a refit saw"):
        kept_look(path, OF)

"""The log: what it says, to whom, and how it goes on."""

import json
from pathlib import Path

import torch

from training.runs.log import Meter, RunLog


def boards(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "tensorboard").glob("events.*"))]


def test_lines_and_tensorboard(tmp_path: Path) -> None:
    with RunLog(tmp_path, 0, tensorboard=True) as log:
        log.write(50, {"loss": 1.5})
        assert json.loads((tmp_path / "log.jsonl").read_text()) == {"step": 50, "loss": 1.5}
    (content,) = boards(tmp_path)
    assert b"loss" in content


def test_it_goes_on(tmp_path: Path) -> None:
    for step in (0, 50):
        with RunLog(tmp_path, step, tensorboard=False) as log:
            log.write(step + 50, {"loss": 1.5})
    assert [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [50, 100]
    assert not (tmp_path / "tensorboard").exists()


def test_the_meter_empties_itself() -> None:
    meter = Meter()
    meter.add({"a": torch.tensor(1.0)}, 2)
    meter.add({"a": torch.tensor(4.0)}, 2)
    assert meter.means()["a"] == 2.5
    meter.add({"a": torch.tensor(7.0)}, 2)
    assert meter.means()["a"] == 7

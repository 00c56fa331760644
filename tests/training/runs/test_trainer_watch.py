"""Scoring a run changes nothing of what it learns; the best weights are kept, and patience ends it."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training.tiny_run import STEPS, make_trainer, noise
from training.data.mixture import Mixture
from training.runs.trainer import Trainer
from training.runs.watch import Watch
from training.weights.checkpoint import AVERAGE_PREFIX, load_checkpoint, tensors_of
from training.weights.run_folder import BEST

EVERY = 3
SCORES = {3: 0.2, 6: 0.5, 9: 0.4, 12: 0.5}


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    return noise(tmp_path_factory.mktemp("pictures"))


class Scored:
    """A trainer that is scored; what its network was each time is kept."""

    def __init__(self, mixture: Mixture, folder: Path, *, stop_at: int | None = None, patience: int = 0) -> None:
        self.seen: list[dict[str, Tensor]] = []
        self.stop_at = stop_at
        self.trainer: Trainer = make_trainer(mixture, folder, watch=Watch(self.validate, "ap50", EVERY, patience))

    def validate(self) -> Mapping[str, float]:
        assert not self.trainer.network.training
        assert not any(part.training for part in self.trainer.network.modules())
        self.seen.append({key: value.clone() for key, value in self.trainer.network.state_dict().items()})
        if self.trainer.step == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"ap50": SCORES[self.trainer.step], "seconds": 0.1}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_scored_or_not_it_learns_the_same(mixture: Mixture, tmp_path: Path) -> None:
    make_trainer(mixture, tmp_path / "plain").run()
    scored = Scored(mixture, tmp_path / "scored")
    assert scored.trainer.run()
    assert len(scored.seen) == 4
    assert_equal(load_checkpoint(tmp_path / "scored").tensors, load_checkpoint(tmp_path / "plain").tensors)


def test_the_averaged_weights_are_scored_and_the_best_of_them_kept(mixture: Mixture, tmp_path: Path) -> None:
    scored = Scored(mixture, tmp_path)
    (tmp_path / "configuration.json").write_text("{}")
    scored.trainer.run()
    tensors, state = load_checkpoint(tmp_path / BEST)
    assert state["step"] == 6
    assert_equal(tensors_of(tensors, AVERAGE_PREFIX), scored.seen[1])
    assert set(tensors) == {f"{AVERAGE_PREFIX}{name}" for name in scored.seen[1]}
    last = load_checkpoint(tmp_path)
    assert_equal(tensors_of(last.tensors, AVERAGE_PREFIX), scored.seen[3])
    assert last.state["validation"] == {"best": 0.5, "loss": None, "step": 6, "since": 2}
    assert (tmp_path / BEST / "configuration.json").read_text() == "{}"


def test_the_scores_are_logged(mixture: Mixture, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Scored(mixture, tmp_path).trainer.run()
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(one["step"], one["validation/ap50"]) for one in entries] == list(SCORES.items())
    assert "step 9: AP50 40.0%; best is step 6, AP50 50.0% (0 s)" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [3, 9])
def test_stopped_and_resumed_it_keeps_the_same_best(mixture: Mixture, tmp_path: Path, stop: int) -> None:
    whole = Scored(mixture, tmp_path / "whole")
    whole.trainer.run()
    assert not Scored(mixture, tmp_path / "parts", stop_at=stop).trainer.run()
    again = Scored(mixture, tmp_path / "parts")
    again.trainer.resume()
    assert again.trainer.run()
    for folder in ("", BEST):
        found, expected = load_checkpoint(tmp_path / "parts" / folder), load_checkpoint(tmp_path / "whole" / folder)
        assert_equal(found.tensors, expected.tensors)
        assert found.state == expected.state


def test_patience_ends_the_run_for_good(mixture: Mixture, tmp_path: Path) -> None:
    scored = Scored(mixture, tmp_path, patience=1)
    assert scored.trainer.run(), "it has ended, and was not stopped"
    assert load_checkpoint(tmp_path).state["step"] == 9
    again = Scored(mixture, tmp_path, patience=1)
    again.trainer.resume()
    assert again.trainer.run()
    assert again.seen == []
    more = Scored(mixture, tmp_path, patience=3)
    more.trainer.resume()
    assert more.trainer.run()
    assert load_checkpoint(tmp_path).state["step"] == STEPS

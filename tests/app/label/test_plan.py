from pathlib import Path

import pytest

from app.contract.errors import InvalidParameterError
from app.label.plan import Means
from model.providers import usable_cores
from model.wordtree import UnknownConceptError
from tests.app.label.archives import plan


def test_what_suits_the_machine(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made, tree = plan("source", "output", tiny_model, means=Means())
    assert (made.processes, made.job.threads, made.job.readers) == (usable_cores(), 1, 2)
    assert (made.source, made.job.output) == (str(tmp_path / "source"), str(tmp_path / "output"))
    assert made.manifest.source == made.source
    assert made.manifest.options.threshold == 0.25
    assert made.manifest.model.name == "tiny"
    assert len(tree) == 11


def test_cores_are_shared_among_the_processes(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.label.plan.usable_cores", lambda: 8)
    for processes, threads in ((1, 8), (3, 2), (8, 1), (20, 1)):
        assert plan(tmp_path, tmp_path, tiny_model, means=Means(processes=processes))[0].job.threads == threads
    made = plan(tmp_path, tmp_path, tiny_model, means=Means(2, 3, 5, 7, "auto"))[0]
    assert (made.processes, made.job.threads, made.job.readers, made.job.batch, made.ray) == (2, 3, 5, 7, "auto")


def test_urls_stay_as_they_are(tmp_path: Path, tiny_model: Path) -> None:
    made = plan("s3://bucket/x", "s3://bucket/y", tiny_model)[0]
    assert (made.source, made.job.output) == ("s3://bucket/x", "s3://bucket/y")
    assert plan(tmp_path, tmp_path, tiny_model)[0].job.model.is_absolute()


def test_what_the_model_cannot_be_asked(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(InvalidParameterError, match="one of 64, 96, 128"):
        plan(tmp_path, tmp_path, tiny_model, parameters={"size": 65})
    with pytest.raises(UnknownConceptError):
        plan(tmp_path, tmp_path, tiny_model, parameters={"under": ["n00000000"]})

from pathlib import Path

import numpy as np
import pytest

from app.engine.pipeline import Question, postprocess, preprocess, run
from app.label.archive.listing import list_source, shards_of
from app.label.archive.shards import ShardWriter
from app.label.errors import WorkError
from app.label.output.tables import Summary
from app.label.workers.job import Job
from app.label.workers.labeller import Labeller
from model.archives.locations import LocalFolder
from model.runtime import DeviceLostError, OnnxDetector
from tests.app import pictures
from tests.app.label.archives import failures, plan, rows


@pytest.fixture
def job(tmp_path: Path, tiny_model: Path) -> Job:
    source, output = tmp_path / "source", LocalFolder(tmp_path / "output")
    source.mkdir()
    (source / "a.png").write_bytes(pictures.red_and_blue())
    (source / "bad.png").write_bytes(b"bad")
    (source / "c.png").write_bytes(pictures.red())
    (source / "white.png").write_bytes(pictures.encode(pictures.draw({})))
    listed = list_source(str(source), every_file=False, output=output, progress=int)
    with ShardWriter(output) as writer:
        for shard in shards_of(listed, 100, None, None, int):
            writer.add(shard)
    return plan(source, tmp_path / "output", tiny_model)[0].job


def nobody(_: int) -> None:
    pass


def output(job: Job) -> Path:
    return Path(job.output)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_same_is_found_as_by_the_service(job: Job, detector: OnnxDetector, batch: int) -> None:
    told: list[int] = []
    labeller = Labeller(Job(**{**vars(job), "batch": batch}))
    assert labeller.label(0, told.append) == Summary(0, 4, 1, 3)
    assert told == [0, 1, 2, 3]
    question: Question = job.question
    preprocessed = preprocess(pictures.red_and_blue(), question.size, job.max_pixels)
    expected = postprocess(detector, preprocessed, run(detector, preprocessed, question), question)
    found = rows(output(job), "detections")[: len(expected)]
    assert [row["picture"] for row in found] == ["a.png", "a.png"]
    boxes = np.array([[row[edge] for edge in ("x1", "y1", "x2", "y2")] for row in found], np.float32)
    np.testing.assert_array_equal(boxes, expected.boxes)
    np.testing.assert_array_equal(np.array([row["score"] for row in found], np.float32), expected.scores)
    assert [row["wnid"] for row in found] == [detector.tree.wnids[node] for node in expected.nodes]
    assert [len(row["path"]) for row in found] == expected.lengths.tolist()
    assert [(row["width"], row["height"]) for row in rows(output(job))] == [
        (200, 100),
        (None, None),
        (200, 100),
        (200, 100),
    ]
    assert list(failures(output(job))) == ["bad.png"]


def test_careful(job: Job) -> None:
    begun: list[int] = []
    summary = Labeller(job).label(0, begun.append, careful=True, given_up={2: "it brings everything down"})
    assert begun == [0, 1, 2, 3]
    assert summary == Summary(0, 4, 2, 2)
    assert failures(output(job))["c.png"] == "it brings everything down"


def test_what_the_network_fails_on_is_a_failure(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    labeller = Labeller(job)
    run = OnnxDetector.run

    def fail_once(*_: object) -> object:
        monkeypatch.setattr(OnnxDetector, "run", run)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(OnnxDetector, "run", fail_once)
    assert labeller.label(0, nobody) == Summary(0, 4, 2, 1)
    assert failures(output(job))["a.png"] == "the network failed on it: out of memory"


def test_a_lost_gpu_is_no_fault_of_a_picture(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DeviceLostError("the GPU failed")

    monkeypatch.setattr(OnnxDetector, "run", fail)
    with pytest.raises(DeviceLostError):
        Labeller(job).label(0, nobody)
    assert not (output(job) / "pictures").exists()


def test_a_picture_there_is_no_memory_for(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("app.label.workers.labeller.preprocess", fail)
    assert Labeller(job).label(0, nobody).failures == 4
    assert set(failures(output(job)).values()) == {"decoding it takes more memory than there is"}


def test_a_full_disk_stops_the_work(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalFolder, "put", fail)
    with pytest.raises(WorkError, match="output: No space left on device"):
        Labeller(job).label(0, nobody)

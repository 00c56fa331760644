"""Real processes, and pictures that bring them down."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from app.label.archive.listing import list_source, shards_of
from app.label.archive.shards import ShardWriter
from app.label.errors import WorkError
from app.label.plan import Plan
from app.label.workers.pool import Pool
from model.archives.locations import LocalFolder
from tests.app import pictures
from tests.app.label.archives import failures, fill, plan, rows

KILLER = b"KILL"

SABOTAGE = f"""
import os, signal
import app.engine.pipeline
preprocess = app.engine.pipeline.preprocess
def killed(data, *others):
    if data.endswith({KILLER!r}):
        os.kill(os.getpid(), signal.SIGKILL)
    return preprocess(data, *others)
app.engine.pipeline.preprocess = killed
"""


@pytest.fixture
def made(tmp_path: Path, tiny_model: Path) -> Callable[..., Plan]:
    """List a source of some pictures, of which some kill whoever decodes them."""

    def make(count: int, killers: tuple[int, ...] = (), size: int = 4) -> Plan:
        source, output = tmp_path / "source", LocalFolder(tmp_path / "output")
        names = fill(source, count)
        for number in killers:
            (source / names[number]).unlink()
            (source / names[number]).write_bytes(pictures.red() + KILLER)
        listed = list_source(str(source), every_file=False, output=output, progress=int)
        with ShardWriter(output) as writer:
            for shard in shards_of(listed, size, None, None, int):
                writer.add(shard)
        return plan(source, tmp_path / "output", tiny_model)[0]

    return make


@pytest.fixture
def sabotaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sabotage"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SABOTAGE)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.slow
@pytest.mark.usefixtures("sabotaged")
def test_a_picture_that_kills_its_process_is_given_up_and_the_rest_goes_on(
    made: Callable[..., Plan], tmp_path: Path
) -> None:
    told: list[int] = []
    with Pool(made(10, killers=(1, 6)).job, 2) as pool:
        summaries = sorted(pool.run(range(3), told.append), key=lambda summary: summary.shard)
    assert [(summary.pictures, summary.failures) for summary in summaries] == [(4, 1), (4, 1), (2, 0)]
    assert sum(told) == 10
    assert len(rows(tmp_path / "output")) == 10
    reason = "the process that looked at it died, twice (by signal SIGKILL)"
    assert failures(tmp_path / "output") == {"0001.png": reason, "0006.png": reason}


@pytest.mark.slow
def test_processes_are_used_again_and_end(made: Callable[..., Plan]) -> None:
    with Pool(made(4, size=1).job, 2) as pool:
        assert sorted(summary.shard for summary in pool.run([0, 1, 2])) == [0, 1, 2]
        before = [worker.process.pid for worker in pool.workers]
        assert [summary.shard for summary in pool.run([3])] == [3]
        assert [worker.process.pid for worker in pool.workers] == before
    for process in before:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


@pytest.mark.slow
def test_a_process_that_is_killed_between_pictures_is_replaced(made: Callable[..., Plan], tmp_path: Path) -> None:
    killed = False

    def kill(_: int) -> None:
        nonlocal killed
        (worker,) = pool.workers
        if not killed:
            killed = True
            worker.process.send_signal(signal.SIGKILL)

    with Pool(made(6, size=6).job, 1) as pool:
        (summary,) = pool.run([0], kill)
    assert (killed, summary.pictures, summary.failures) == (True, 6, 0)
    assert len(rows(tmp_path / "output")) == 6


def test_processes_that_keep_dying_stop_the_work(
    made: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(3)")
    job = made(1).job
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(WorkError, match=r"keep dying \(with exit code 3\) before shard 0"), Pool(job, 1) as pool:
        list(pool.run([0]))


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_stops_the_work(made: Callable[..., Plan], tmp_path: Path) -> None:
    job = made(1).job
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"broken")
    with pytest.raises(WorkError, match=r"broken\.onnx"), Pool(type(job)(**{**vars(job), "model": broken}), 1) as pool:
        list(pool.run([0]))


@pytest.mark.slow
def test_a_fault_of_the_program_is_told_once(
    made: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "fault"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import app.engine.pipeline\napp.engine.pipeline.postprocess = None\n")
    job = made(1).job
    monkeypatch.setenv("PYTHONPATH", str(folder))
    with pytest.raises(WorkError, match=r"a fault of this program.*TypeError"), Pool(job, 1) as pool:
        list(pool.run([0]))
    assert capfd.readouterr().err.count("Traceback") == 1

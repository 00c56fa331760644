"""A cluster of two nodes, one of which is killed half way. The cluster and the command are processes of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.label.errors import WorkError
from app.label.output.tables import Summary
from app.label.run import run
from app.label.workers.on_ray import _reason, _summary_of, run_on_ray
from model.archives.errors import ArchiveError, MissingExtraError
from model.archives.locations import LocalFolder
from tests.app.label.archives import fill, plan, rows
from tests.app.servers import ROOT

PICTURES = 40
SECONDS = 300  # a busy machine may take that long; alone it is 40
ENVIRONMENT = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # makes Ray listen at 127.0.0.1 alone


def slow_pictures(folder: Path) -> None:
    """Write pictures that take a while to decode, so that there is time to kill something."""
    folder.mkdir()
    slope = np.linspace(0, 255, 1600 * 1600 * 3).astype(np.uint8).reshape(1600, 1600, 3)
    Image.fromarray(slope).save(folder / "0.png")
    for number in range(1, PICTURES):
        os.link(folder / "0.png", folder / f"{number}.png")


@contextmanager
def cluster(environment: dict[str, str]) -> Iterator[Callable[[str], str]]:
    """Run a cluster; what is given says a line to it and returns its answer, the first one being its address."""
    command = [sys.executable, "-m", "tests.app.label.ray_cluster"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def say(line: str) -> str:
            if line:
                stdin.write(f"{line}\n")
                stdin.flush()
            return stdout.readline().strip()

        try:
            yield say
        finally:
            stdin.close()
            try:
                process.wait(60)
            finally:
                process.kill()


@pytest.mark.slow
def test_a_node_that_is_killed_loses_and_doubles_nothing(tmp_path: Path, tiny_model: Path) -> None:
    source, output = tmp_path / "source", tmp_path / "output"
    slow_pictures(source)
    environment = {**os.environ, **ENVIRONMENT}
    end = time.monotonic() + SECONDS
    with cluster(environment) as say:
        address = say("")
        assert address.startswith("127.0.0.1:")
        arguments = ["label", str(source), "--output", str(output), "--model", str(tiny_model), "--shard-size", "1"]
        command = [sys.executable, "-m", "yolo9000", *arguments, "--threads", "1", "--ray", address]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as labelling:
            try:
                done = output / "pictures"
                while not done.exists() or len(list(done.iterdir())) < PICTURES // 5 or say("workers") == "0":
                    assert labelling.poll() is None
                    assert time.monotonic() < end
                    time.sleep(0.2)
                assert say("kill") == "killed"
                assert len(list(done.iterdir())) < PICTURES, "it was done before the node was killed"
                _, complaints = labelling.communicate(timeout=end - time.monotonic())
            finally:
                labelling.kill()
        assert labelling.returncode == 0, complaints
        assert f"{PICTURES} pictures: " in complaints
    assert sorted(row["picture"] for row in rows(output)) == sorted(path.name for path in source.iterdir())
    alone = tmp_path / "alone"
    run(*plan(source, alone, tiny_model, shard_size=1))
    for what in ("pictures", "detections"):
        assert rows(output, what) == rows(alone, what)
    # Each shard is a file that was put once and whole; nothing half-done is left but what a killed process had begun.
    assert len(list((output / "detections").iterdir())) == PICTURES


@pytest.mark.slow
def test_a_shard_that_is_done_is_found_done(tmp_path: Path, tiny_model: Path) -> None:
    fill(tmp_path / "source", 3)
    (tmp_path / "source/bad.jpg").write_text("bad")
    run(*plan(tmp_path / "source", tmp_path / "output", tiny_model, shard_size=4))
    output = LocalFolder(tmp_path / "output")
    assert _summary_of(output, 0) == Summary(0, 4, 1, 3)
    assert _summary_of(output, 1) is None


@pytest.mark.slow
def test_no_cluster_ends_in_a_sentence_soon(tmp_path: Path, tiny_model: Path) -> None:
    fill(tmp_path / "source", 1)
    job = plan(tmp_path / "source", tmp_path / "output", tiny_model)[0].job
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "nonsense", "127.0.0.1:999999"):
        with pytest.raises(WorkError, match=f"--ray {address}: there is no Ray cluster"):
            next(run_on_ray(job, np.array([0]), address, 1, int))


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_model: Path) -> None:
    job = plan(tmp_path, tmp_path / "output", tiny_model)[0].job
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"yolo9000\[ray\]"):
        next(run_on_ray(job, np.array([0]), "local", 1, int))


def test_our_own_sentence_is_found_in_what_ray_raises() -> None:
    outer = RuntimeError("ray::MapWorker() failed\nTraceback ...\nKeyError: 1")
    assert _reason(outer) == "Ray: KeyError: 1"
    outer.__cause__ = ValueError("wrapped")
    outer.__cause__.__cause__ = ArchiveError("the disk is full")
    assert _reason(outer) == "the disk is full"

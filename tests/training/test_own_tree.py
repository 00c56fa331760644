"""The commands of docs/own-tree.md, in their order, with less training."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model.runtime import OnnxDetector
from training.__main__ import main

ROOT = Path(__file__).parents[2]
QUICK = {
    "train": ("--optimizer.steps", "3", "--optimizer.batch", "2", "--optimizer.warmup", "1", "--sizes", "96"),
    "export": ("--sizes", "96", "--default-size", "96"),
}
"""Flags that a command gets here beside those of the page."""


def commands() -> list[list[str]]:
    """Return the page's commands but for what installs and serves."""
    page = (ROOT / "docs" / "own-tree.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    return [shlex.split(line) for line in lines if not line.startswith(("pip", "yolo9000 serve"))]


@pytest.mark.slow
def test_from_a_table_and_folders_to_answers_that_walk_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shown = ""
    for part in ("examples", "training/configurations"):
        shutil.copytree(ROOT / part, tmp_path / part)
    done = []
    for program, *arguments in commands():
        if program == "yolo9000":
            command = [sys.executable, "-m", "yolo9000", *arguments, "--threshold", "0"]
            shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        elif arguments[0].endswith(".py"):
            subprocess.run([sys.executable, *arguments], check=True)
        else:
            assert arguments[:2] == ["-m", "training"]
            assert main([*arguments[2:], *QUICK.get(arguments[2], ())]) == 0
        done.append(arguments[0] if program == "yolo9000" else arguments[-1] if len(arguments) == 2 else arguments[2])
    assert done == ["toys", "wordtree", "train", "export", "evaluate", "detect"]
    tree = OnnxDetector.load("toys.onnx").tree
    assert [tree.names[node] for node in tree.path(tree.index("red_ball"))] == ["toy", "ball", "red ball"]
    assert len(tree.leaves) == 6
    assert "toy" in shown.splitlines()[1]
    assert Path("toys.html").stat().st_size

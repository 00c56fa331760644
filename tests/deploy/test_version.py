import re
import subprocess
import tomllib
from importlib.metadata import version

import pytest

from model.version import VERSION
from tests.deploy.files import ROOT


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


def test_the_package_takes_it_from_the_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "model.version.VERSION"}
    assert version("yolo9000") == VERSION


@pytest.mark.slow
def test_no_other_file_states_it() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--", "app", "model", "training", "deploy", "Dockerfile", "Makefile", "pyproject.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    stated = re.compile(rf"version\W{{1,5}}{re.escape(VERSION)}\b", re.IGNORECASE)
    texts = {name: (ROOT / name).read_bytes().decode(errors="replace") for name in tracked if (ROOT / name).is_file()}
    assert [name for name, text in texts.items() if stated.search(text)] == ["model/version.py"]

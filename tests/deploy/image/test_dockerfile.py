"""The Dockerfile and its lock files, as far as they can be told without building; `make image-test` builds."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from app.settings import PREFIX, Settings
from model.version import VERSION
from tests.deploy.files import DEPLOY, ROOT, dockerfile

LOCKS = DEPLOY / "locks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)( ; .+)? \\$", re.MULTILINE)


def pins(name: str) -> dict[str, set[Version]]:
    """Return what a lock file pins; a package may have another version for another Python."""
    found: dict[str, set[Version]] = {}
    for package, version, _ in _PIN.findall((LOCKS / f"{name}.txt").read_text()):
        found.setdefault(canonicalize_name(package), set()).add(Version(version))
    return found


def required(name: str) -> list[Requirement]:
    if name == "build":
        return [Requirement(text) for text in PROJECT["build-system"]["requires"]]
    project = PROJECT["project"]
    return [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"][name])]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    result = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", ["build", "cpu", "gpu"])
def test_the_lock_file_is_that_of_the_project(name: str) -> None:
    """`make lock` writes it anew when this fails."""
    locked = pins(name)
    for requirement in required(name):
        versions = locked.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is not locked"
        assert all(requirement.specifier.contains(version) for version in versions), requirement


@pytest.mark.parametrize("name", ["build", "cpu", "gpu"])
def test_every_pin_has_its_hashes_and_no_file_names_a_host(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(_PIN.findall(text))
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "index" not in text


def test_each_image_has_one_onnx_runtime() -> None:
    assert {name for name in pins("cpu") if name.startswith("onnxruntime")} == {"onnxruntime"}
    assert {name for name in pins("gpu") if name.startswith("onnxruntime")} == {"onnxruntime-gpu"}
    assert {"nvidia-cublas", "nvidia-cuda-runtime"} < pins("gpu").keys()
    assert any(name.startswith("nvidia-cudnn") for name in pins("gpu"))
    assert not any(name.startswith("nvidia") for name in pins("cpu"))


def test_its_variables_are_settings() -> None:
    text = " ".join(rest for instruction, rest in dockerfile() if instruction == "ENV")
    used = {name.removeprefix(PREFIX).lower() for name in re.findall(rf"\b{PREFIX}\w+", text)}
    assert used
    assert used <= Settings.model_fields.keys()


def test_it_leaves_the_version_to_the_one_place_that_states_it() -> None:
    assert VERSION not in (ROOT / "Dockerfile").read_text()


def test_what_is_copied_is_not_ignored() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] not in "#.*"]
    for instruction, rest in dockerfile():
        if instruction == "COPY" and "--from" not in rest:
            *sources, _ = rest.replace("--chmod=0644", "").replace("${MODEL}", "model/default.onnx").split()
            for source in sources:
                assert (ROOT / source).exists()
                assert not any(Path(source).is_relative_to(folder) for folder in ignored), source

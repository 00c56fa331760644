"""ONNX Runtime's reports are off before it is imported, unless somebody decided otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.onnx_runtime import TELEMETRY_SWITCHES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAM = "import os, sys, {module}; print(*(os.environ.get(name, '-') for name in sys.argv[1:]))"


def switches(module: str, **given: str) -> list[str]:
    """Return how the switches stand in a new process that has imported a module."""
    kept = {name: value for name, value in os.environ.items() if name not in TELEMETRY_SWITCHES}
    command = [sys.executable, "-c", PROGRAM.format(module=module), *TELEMETRY_SWITCHES]
    done = subprocess.run(command, cwd=ROOT, env={**kept, **given}, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("module", ["model.onnx_runtime", "model.runtime"])
def test_reports_are_off(module: str) -> None:
    assert switches(module) == ["1", "1"]


@pytest.mark.parametrize("given", TELEMETRY_SWITCHES)
def test_whoever_set_a_switch_is_left_alone(given: str) -> None:
    expected = ["0" if switch == given else "-" for switch in TELEMETRY_SWITCHES]
    assert switches("model.runtime", **{given: "0"}) == expected

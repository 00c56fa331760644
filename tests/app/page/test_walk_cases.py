"""The service's answers to the cases that the page's walk is held against, and the page's scripts under node."""

import json
import shutil
import subprocess

import pytest

from tests.app.page.conftest import ROOT
from tests.app.page.walk_cases import CASES_IN_FILE, WalkCase, read_cases

CASES = read_cases()


@pytest.mark.parametrize("number", range(CASES_IN_FILE))
def test_the_service_answers_as_the_file_says(number: int) -> None:
    answered = json.loads(json.dumps(WalkCase.from_json(CASES[number]).to_json()))
    assert answered == CASES[number]


def test_the_cases_are_worth_something() -> None:
    """Labels move, boxes are suppressed, answers are cut short."""
    answered = sum(len(case["expected"]) for case in CASES)
    assert answered > CASES_IN_FILE == len(CASES)
    assert sum(len(case["found"]["detections"]) for case in CASES) > 1.5 * answered


def test_the_page_answers_as_the_file_says() -> None:
    """All of the page's tests under node, the walk's among them."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed (Debian's package nodejs)")
    scripts = sorted((ROOT / "tests" / "app" / "page" / "scripts").glob("*.test.js"))
    done = subprocess.run([node, "--test", *map(str, scripts)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout

"""What the build makes of the repository's imports; `make release-check` tries the wheel itself."""

import runpy
from collections.abc import Callable

import pytest

from tests.deploy.files import ROOT


@pytest.fixture(scope="module")
def moved() -> Callable[[str], str]:
    found: Callable[[str], str] = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")["with_moved_imports"]
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from app.main import create_app\n", "from yolo9000.app.main import create_app\n"),
        ("from model import WordTree", "from yolo9000.model import WordTree"),
        ("from training.a import (\n    b,\n)\n", "from yolo9000.training.a import (\n    b,\n)\n"),
        ("def f():\n    from model.b import c as d\n", "def f():\n    from yolo9000.model.b import c as d\n"),
        (
            "ü = 1; from app import b; c = 'from app import b'",
            "ü = 1; from yolo9000.app import b; c = 'from app import b'",
        ),
        ("from app import a; from model import b\n", "from yolo9000.app import a; from yolo9000.model import b\n"),
        ("from application import app\nimport apple\n", "from application import app\nimport apple\n"),
        ("from yolo9000.client import Client\n", "from yolo9000.client import Client\n"),
    ],
)
def test_imports_follow_the_packages(moved: Callable[[str], str], source: str, expected: str) -> None:
    assert moved(source) == expected


def test_an_import_that_binds_the_old_name_is_refused(moved: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match=r"line 2: write 'from ... import ...' instead of 'import model\.walk'"):
        moved("a = 1\nimport model.walk\n")


@pytest.mark.parametrize("package", ["app", "model", "training", "yolo9000"])
def test_every_module_can_be_moved(moved: Callable[[str], str], package: str) -> None:
    for file in sorted((ROOT / package).rglob("*.py")):
        found = moved(file.read_text(encoding="utf-8"))
        for name in ("app", "model", "training"):
            assert f"\nfrom {name}." not in found, file.relative_to(ROOT)
            assert f'"{name}.' not in found.replace('"model.onnx"', ""), file.relative_to(ROOT)  # imported by a string

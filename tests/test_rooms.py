"""The house beyond what import-linter holds (pyproject.toml): rooms are small, and private names stay at home."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("app", "model", "training", "deploy", "yolo9000")

MOST_MODULES = 12
"""Modules that a reader can survey in one folder, `__init__` included."""


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of every `from module import name`, wherever in the file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_can_be_surveyed(package: str) -> None:
    for folder in {file.parent for file in modules(package)}:
        assert len(list(folder.glob("*.py"))) <= MOST_MODULES, folder.relative_to(ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_private_names_stay_at_home(package: str) -> None:
    for file in modules(package):
        for module, name in imports(file):
            if module.partition(".")[0] in PACKAGES:
                private = [part for part in (*module.split("."), name) if part.startswith("_") and part != "__main__"]
                assert not private, f"{file.relative_to(ROOT)} imports {module}.{name}"

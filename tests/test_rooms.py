"""The house: which room may know which, and how many modules a room holds; private names stay at home.

A room is a folder of modules, or a module beside such folders. Each list runs from the top down: a room may import from
those that stand after it, and never from those before it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MOST_MODULES = 12
"""Modules that a reader can survey in one folder, `__init__` included."""

ROOMS = {
    "app": (
        "__main__",
        "commands",
        "label",
        "main",
        "http",
        "engine",
        "load_settings",
        "settings",
        "contract",
        "observe",
        "access",
    ),
    "app/label": ("run", "plan", "workers", "output", "archive", "extras", "errors"),
    "model": (
        "runtime",
        "onnx_runtime",
        "providers",
        "metadata",
        "detections",
        "walk",
        "wordtree",
        "pictures",
        "geometry",
        "version",
    ),
    "training": (
        "__main__",
        "proofs",
        "commands",
        "configurations",
        "runs",
        "weights",
        "export",
        "wordtree",
        "evaluation",
        "data",
        "losses",
        "darknet",
        "networks",
        "iou",
        "targets",
        "files",
        "plotting",
        "command_line",
    ),
}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of every `from module import name`, wherever in the file; of `import module`, no name."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def room_of(module: str, package: str) -> str | None:
    """Return the room of `package` that a dotted name lies in, None where it lies elsewhere."""
    parts, above = module.split("."), package.split("/")
    return parts[len(above)] if parts[: len(above)] == above and len(parts) > len(above) else None


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_has_its_floor(package: str) -> None:
    found = {room_of(".".join(file.relative_to(ROOT).with_suffix("").parts), package) for file in modules(package)}
    assert found - {"__init__"} == set(ROOMS[package])


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_downwards(package: str) -> None:
    floors = {room: floor for floor, room in enumerate(ROOMS[package])}
    for file in modules(package):
        own = room_of(".".join(file.relative_to(ROOT).with_suffix("").parts), package)
        for module, name in imports(file):
            other = room_of(f"{module}.{name}" if name else module, package)
            if own in floors and other in floors:
                assert floors[other] >= floors[own], f"{file.relative_to(ROOT)} imports {module} from a floor above"


@pytest.mark.parametrize("package", ["app", "model", "training", "deploy"])
def test_a_room_can_be_surveyed(package: str) -> None:
    for folder in {file.parent for file in modules(package)}:
        assert len(list(folder.glob("*.py"))) <= MOST_MODULES, folder.relative_to(ROOT)


@pytest.mark.parametrize("package", ["app", "model", "training"])
def test_every_room_says_what_it_is_for(package: str) -> None:
    for folder in {file.parent for file in modules(package)}:
        text = (folder / "__init__.py").read_text()
        assert ast.get_docstring(ast.parse(text)), f"{folder.relative_to(ROOT)}/__init__.py"


@pytest.mark.slow
@pytest.mark.parametrize("package", ["app", "model", "training", "deploy"])
def test_private_names_stay_at_home(package: str) -> None:
    for file in modules(package):
        for module, name in imports(file):
            if module.partition(".")[0] in {"app", "model", "training", "deploy"}:
                private = [part for part in (*module.split("."), name) if part.startswith("_") and part != "__main__"]
                assert not private, f"{file.relative_to(ROOT)} imports {module}.{name}"

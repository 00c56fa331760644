"""Where the packages are in a wheel: below `yolo9000`. Everything else about the build is in pyproject.toml.

In the repository `app`, `model` and `training` stand side by side, and import one another by these names. Names so
common must not be what a wheel puts into site-packages, where a project with an `app` or a `model` of its own could not
live with them. So a wheel has `yolo9000.app`, `yolo9000.model` and `yolo9000.training`, and imports are rewritten while
it is built. An editable installation is the repository itself, and stays as it is.
"""

import ast
import shutil
from pathlib import Path
from typing import Final

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import egg_info

TOP: Final = "yolo9000"
MOVED: Final = ("app", "model", "training")


def with_moved_imports(source: str) -> str:
    """Return a module's text with its imports of the packages that move.

    Raises:
        ValueError: it imports one in a form that cannot be rewritten: after `import app.x` the code says `app.x` again.
    """
    lines = source.encode().splitlines(keepends=True)
    places: list[tuple[int, int]] = []  # line and column, bytes
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            wrong = [one.name for one in node.names if one.name.partition(".")[0] in MOVED]
            if wrong:
                raise ValueError(f"line {node.lineno}: write 'from ... import ...' instead of 'import {wrong[0]}'")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] in MOVED:
            places.append((node.lineno - 1, node.col_offset + len("from ")))
    for number, start in sorted(places, reverse=True):  # from the end, so that the columns before stay true
        line = lines[number]
        lines[number] = line[:start] + f"{TOP}.".encode() + line[start:]
    moved = b"".join(lines).decode()
    ast.parse(moved)
    return moved


class BuildBelow(build_py):
    """Builds the packages as a wheel has them."""

    def run(self) -> None:
        """Copy all packages as they are, then move those whose names are common."""
        super().run()
        if self.editable_mode:
            return
        built = Path(self.build_lib)
        for name in MOVED:
            shutil.rmtree(built / TOP / name, ignore_errors=True)  # of an earlier build
            shutil.move(built / name, built / TOP / name)
        for module in (built / TOP).rglob("*.py"):
            source = module.read_text(encoding="utf-8")
            try:
                module.write_text(with_moved_imports(source), encoding="utf-8")
            except ValueError as error:
                raise ValueError(f"{module}: {error}") from error


class DescribeBelow(egg_info):
    """Lists the one package that a wheel installs at the top."""

    def run(self) -> None:
        """Write what setuptools writes, then the list anew."""
        super().run()
        if "editable_wheel" not in self.distribution.command_obj:
            Path(self.egg_info, "top_level.txt").write_text(f"{TOP}\n", encoding="utf-8")


if __name__ == "__main__":
    setup(cmdclass={"build_py": BuildBelow, "egg_info": DescribeBelow})

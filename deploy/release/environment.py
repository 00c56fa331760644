"""An environment with nothing in it but what a wheel brings, not even pip."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_HASHES = re.compile(r" \\\n( +--hash=\S+( \\)?\n)+")


def normalised(name: str) -> str:
    """Return a package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        folder: where it is.
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Make an empty one."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        return cls(folder)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def yolo9000(self) -> Path:
        """The command, once it is installed."""
        return self.folder / "bin" / "yolo9000"

    def install(self, wheel: Path, extra: str, lock: Path) -> None:
        """Install a wheel and all it asks for, in the versions of a lock file."""
        constraints = self.folder / "constraints.txt"
        constraints.write_text(_HASHES.sub("\n", lock.read_text()))
        self._pip("install", "--quiet", "--constraint", str(constraints), f"{wheel}[{extra}]")
        self._pip("check")
        locked = re.findall(r"^(\S+)==", constraints.read_text(), re.MULTILINE)
        strangers = self.packages().keys() - {*locked, "yolo9000"}
        assert not strangers, f"not in {lock.name}: {strangers}"

    def packages(self) -> dict[str, str]:
        """Return what is installed, by normalised names, with its versions."""
        listed = json.loads(self._pip("list", "--format", "json"))
        return {normalised(package["name"]): package["version"] for package in listed}

    def licences(self) -> dict[str, str]:
        """Return the licence of each package but the project's own."""
        program = str(Path(sys.executable).with_name("pip-licenses"))
        options = [f"--python={self.python}", "--format=json", "--from=mixed", "--with-system"]
        command = [program, *options, "--ignore-packages", "yolo9000"]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return {entry["Name"]: entry["License"] for entry in json.loads(told.stdout)}

    def _pip(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

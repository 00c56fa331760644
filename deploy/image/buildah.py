"""The image, built by buildah: it needs no daemon, and with chroot isolation no kernel features a sandbox may lack."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

STAND_IN = "localhost/yolo9000-stand-in"
"""Takes the place of python:3.13-slim-trixie where no registry of images can be reached."""

SUITE = "trixie"
PACKAGES = ("ca-certificates", "python3", "python3-venv")

BORROWED = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")
"""Lent to the build, where this machine has them, so that pip trusts and asks whom it does here; never in the image."""


@dataclass(frozen=True)
class Container:
    """A container made of an image.

    Attributes:
        name: what buildah calls it.
        files: where its files can be seen.
        configuration: what the image says of user, environment, command and so on, in Docker's words.
    """

    name: str
    files: Path
    configuration: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The variables the image sets."""
        return dict(entry.split("=", 1) for entry in self.configuration["Env"])

    @property
    def command(self) -> list[str]:
        """What runs where nothing else is asked for."""
        return [*self.configuration["Entrypoint"], *self.configuration["Cmd"]]


class Buildah:
    """buildah with a store of its own, so that nothing of the user's is touched."""

    def __init__(self, folder: Path) -> None:
        """Keep images and containers in this folder."""
        self.folder = folder
        self.prefix = [
            "buildah", "--storage-driver", "vfs", "--root", str(folder / "store"), "--runroot", str(folder / "run"),
        ]  # fmt: skip

    def __call__(self, *arguments: str) -> str:
        """Run a command of buildah and return what it prints; what it says on the way is shown.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        return subprocess.run([*self.prefix, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    def has(self, image: str) -> bool:
        """Tell whether there is an image of this name."""
        return any(image in (entry["names"] or []) for entry in json.loads(self("images", "--json") or "[]"))

    def stand_in(self) -> str:
        """Return the name of a base image made from Debian's packages; it is made once."""
        name = f"{STAND_IN}:{SUITE}"
        if self.has(name):
            return name
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            files = Path(temporary) / "files"
            include = f"--include={','.join(PACKAGES)}"
            # In a namespace of mounts: what debootstrap mounts in there is gone with it, however it ends.
            command = ["unshare", "--mount", "debootstrap", "--variant=minbase", include, SUITE, str(files)]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            for left in ("var/cache/apt/archives", "var/lib/apt/lists"):  # an image does without them
                shutil.rmtree(files / left)
                (files / left).mkdir()
            container = self("from", "scratch")
            self("add", "--quiet", container, str(files), "/")
            self("commit", "--quiet", "--rm", "--format", "docker", container, name)
        return name

    def build(self, target: str, base: str, arguments: Sequence[str]) -> str:
        """Build a target of the Dockerfile and return the image's name.

        Args:
            target: `cpu` or `gpu`.
            base: the image to build on.
            arguments: further build arguments, as NAME=VALUE.
        """
        name = f"localhost/yolo9000:{target}"
        options = [f"--volume={file}:{file}:ro" for file in BORROWED if Path(file).is_file()]
        options += [f"--build-arg={argument}" for argument in (f"BASE={base}", *arguments)]
        # The image format of Docker: that of OCI knows no HEALTHCHECK.
        options += ["--isolation", "chroot", "--format", "docker", "--target", target, "--tag", name]
        self("bud", *options, str(ROOT))
        return name

    def container(self, image: str) -> Container:
        """Make a container of an image."""
        name = self("from", "--pull-never", image)
        configuration = json.loads(self("inspect", name))["Docker"]["config"]
        return Container(name, Path(self("mount", name)), configuration)

"""Builds the image with buildah, runs it and checks it: `make image-test`.

Needs root, buildah and util-linux, and debootstrap unless --base is given; `--install` has apt-get bring them. Without
a registry of images, a stand-in for the base image is made of Debian's packages: the same Debian and Python, though
neither Docker's files nor a Python compiled by Docker's people.

Chroot isolation shares the network and the processes of this machine and can make nothing read-only. What it cannot
show is tried a second time, in namespaces made by unshare: the read-only root, PID 1, and that no capability is
needed. Not tried: HEALTHCHECK's schedule (its command is run once), published ports, memory and CPU limits, and GPUs.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.image import checks
from deploy.image.buildah import ROOT, Buildah
from model.version import VERSION

TOOLS = {"buildah": "buildah", "debootstrap": "debootstrap", "unshare": "util-linux", "setpriv": "util-linux"}
"""Programs that are needed, and Debian's packages that have them."""


def main() -> int:
    """Build and check the targets that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m deploy.image", description="Build the image, run it, check it.")
    parser.add_argument("targets", nargs="*", default=["cpu"], choices=["cpu", "gpu"], help="default: cpu")
    parser.add_argument("--base", help="image to build on; default: a stand-in made of Debian's packages")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "image", help="where images are kept")
    parser.add_argument("--install", action="store_true", help="install what is missing with apt-get")
    options = parser.parse_args()
    if os.geteuid():
        parser.error("buildah's chroot isolation and the namespaces need root")
    _find_tools(parser, install=options.install)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that no container is left running

    buildah = Buildah(options.folder.resolve())
    base = options.base or buildah.stand_in()
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    for target in options.targets:
        began = time.monotonic()
        image = buildah.build(target, base, [f"VERSION={VERSION}", f"REVISION={revision}"])
        print(f"{target}: built in {time.monotonic() - began:.0f} s", flush=True)
        _check(buildah, image, base, target)
    return 0


def _check(buildah: Buildah, image: str, base: str, target: str) -> None:
    container, below = buildah.container(image), buildah.container(base)
    try:
        every: list[Callable[[], str]] = [
            lambda: checks.configuration(container),
            lambda: checks.size(container, below, target),
            lambda: checks.one_onnx_runtime(container, target),
            lambda: checks.nothing_is_the_users(container),
            lambda: checks.answers(buildah, container),
            lambda: checks.read_only_root(container),
            lambda: checks.early_signal(container),
            lambda: checks.models_of_a_folder(buildah, container),
        ]
        if target == "gpu":
            every.append(lambda: checks.gpu_libraries(container))
        for check in every:
            print(f"{target}: {check()}", flush=True)
    finally:
        buildah("rm", container.name, below.name)


def _find_tools(parser: argparse.ArgumentParser, *, install: bool) -> None:
    missing = sorted({package for program, package in TOOLS.items() if shutil.which(program) is None})
    if missing and install:
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", *missing], check=True)
    elif missing:
        parser.error(f"missing: {', '.join(missing)}; `apt-get install {' '.join(missing)}`, or --install")


if __name__ == "__main__":
    sys.exit(main())

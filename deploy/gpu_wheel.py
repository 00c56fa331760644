"""onnxruntime-gpu for a machine without a registry: its wheel cut into parts, joined there, checked and installed.

    python -m deploy.gpu_wheel split onnxruntime_gpu-1.24.0-cp311-cp311-manylinux_2_28_x86_64.whl --size 60
    python -m deploy.gpu_wheel install onnxruntime_gpu-1.24.0-cp311-cp311-manylinux_2_28_x86_64.whl.parts

The wheel has some 250 MB, more than some ways to a machine let through in one go. `split` needs the wheel alone: `pip
download --no-deps onnxruntime-gpu` fetches it. `install` installs it into the Python that runs it, in the place of
onnxruntime, without CUDA and cuDNN: those a PyTorch of the same major release of CUDA brings. Whether they are found
is told at the end, by the library itself.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

MEGABYTE: Final = 1 << 20
INDEX: Final = "parts.json"
CHUNK: Final = 1 << 20

FIND: Final = """
import contextlib, ctypes, json, sys
from pathlib import Path
with contextlib.redirect_stdout(sys.stderr):
    import onnxruntime
    try:
        import torch
        cuda = torch.version.cuda
    except ImportError:
        cuda = None
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
library, missing = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so", ""
try:
    ctypes.CDLL(str(library.with_name("libonnxruntime_providers_shared.so")))
    ctypes.CDLL(str(library))
except OSError as error:
    missing = str(error)
print(json.dumps({
    "version": onnxruntime.__version__, "providers": onnxruntime.get_available_providers(),
    "torch_cuda": cuda, "missing": missing,
}))
"""
"""What looks for the libraries, in a process of its own: one that has tried and failed keeps what it loaded."""


class WheelError(ValueError):
    """The parts cannot be joined or installed; the message says why."""


class Part(NamedTuple):
    """A part: its file, its bytes and their SHA-256."""

    name: str
    size: int
    sha256: str


class Libraries(NamedTuple):
    """What an installed onnxruntime-gpu finds.

    Attributes:
        version: its own.
        providers: the execution providers it was built with.
        torch_cuda: the release of CUDA that PyTorch brings; None without PyTorch, or with one for processors alone.
        missing: what the dynamic linker said of a library that is not there; empty where all are.
    """

    version: str
    providers: tuple[str, ...]
    torch_cuda: str | None
    missing: str

    def sentence(self) -> str:
        """Say it."""
        if "CUDAExecutionProvider" not in self.providers:
            return f"onnxruntime {self.version} has no CUDA provider, only {', '.join(self.providers)}"
        if not self.missing:
            return f"onnxruntime-gpu {self.version} finds CUDA and cuDNN"
        torch = f"PyTorch brings CUDA {self.torch_cuda}" if self.torch_cuda else "there is no PyTorch with CUDA"
        return f"onnxruntime-gpu {self.version} does not find all it needs: {self.missing}; {torch}"


def split(wheel: Path, size: int, output: Path | None = None) -> Path:
    """Cut a wheel into parts; return their folder.

    Args:
        wheel: the file.
        size: most bytes of a part.
        output: the folder; None: beside the wheel, `NAME.whl.parts`.

    Raises:
        WheelError: it is no wheel.
    """
    if wheel.suffix != ".whl" or not wheel.is_file():
        raise WheelError(f"{wheel}: there is no such wheel; `pip download --no-deps onnxruntime-gpu` fetches one")
    folder = wheel.with_name(f"{wheel.name}.parts") if output is None else output
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Part] = []
    whole = hashlib.sha256()
    with wheel.open("rb") as file:
        while content := file.read(size):
            whole.update(content)
            part = Part(f"part{len(parts) + 1:03}", len(content), hashlib.sha256(content).hexdigest())
            (folder / part.name).write_bytes(content)
            parts.append(part)
    index = {"wheel": wheel.name, "sha256": whole.hexdigest(), "parts": [part._asdict() for part in parts]}
    (folder / INDEX).write_text(json.dumps(index, indent=1))
    return folder


def join(folder: Path, output: Path | None = None) -> Path:
    """Join the parts of a wheel; return it, checked.

    Args:
        folder: of the parts.
        output: where the wheel goes; None: into that folder.

    Raises:
        WheelError: parts are missing or damaged; it names them all.
    """
    name, digest, parts = _index(folder)
    wrong = [f"{part.name} ({reason})" for part in parts if (reason := _wrong(folder / part.name, part))]
    if wrong:
        raise WheelError(f"{folder}: {len(wrong)} of {len(parts)} parts cannot be used: {', '.join(wrong)}")
    wheel = (output or folder) / name
    wheel.parent.mkdir(parents=True, exist_ok=True)
    temporary = wheel.with_name(f".{name}.tmp")
    whole = hashlib.sha256()
    try:
        with temporary.open("wb") as file:
            for part in parts:
                content = (folder / part.name).read_bytes()
                whole.update(content)
                file.write(content)
        if whole.hexdigest() != digest:
            raise WheelError(f"{folder}: the parts do not make the wheel that {INDEX} describes; split it once more")
        temporary.rename(wheel)
    finally:
        temporary.unlink(missing_ok=True)
    return wheel


def install(folder: Path) -> Libraries:
    """Join a wheel, install it in the place of onnxruntime, and see whether it finds CUDA and cuDNN.

    Raises:
        WheelError: it cannot be joined, or pip refuses it.
    """
    wheel = join(folder)
    # both unpack into one folder, and the one that is removed later would take the other's files with it
    _pip("uninstall", "--yes", "onnxruntime", "onnxruntime-gpu")
    _pip("install", "--no-index", "--no-deps", str(wheel))
    return libraries()


def libraries() -> Libraries:
    """Return what the installed onnxruntime finds.

    Raises:
        WheelError: there is none that can be imported.
    """
    done = subprocess.run([sys.executable, "-c", FIND], capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        raise WheelError(f"onnxruntime cannot be imported: {_last_line(done.stderr)}") from error
    return Libraries(found["version"], tuple(found["providers"]), found["torch_cuda"], found["missing"])


def _index(folder: Path) -> tuple[str, str, list[Part]]:
    path = folder / INDEX
    try:
        index = json.loads(path.read_bytes())
        name, digest, parts = index["wheel"], index["sha256"], [Part(**part) for part in index["parts"]]
        names = [name, *(part.name for part in parts)]
    except OSError as error:
        raise WheelError(f"{path}: cannot be read ({error.strerror}); give the folder that `split` made") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WheelError(f"{path}: was not written by `split`, or is damaged") from error
    if not all(isinstance(one, str) and re.fullmatch(r"[\w.+-]+", one) for one in names) or not name.endswith(".whl"):
        raise WheelError(f"{path}: names files that `split` would not")
    return name, digest, parts


def _wrong(path: Path, part: Part) -> str:
    """Say what is wrong with a part; nothing if it is whole."""
    if not path.is_file():
        return "missing"
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while content := file.read(CHUNK):
            digest.update(content)
            size += len(content)
    if size != part.size:
        return f"{size} of {part.size} bytes"
    return "" if digest.hexdigest() == part.sha256 else "damaged"


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WheelError(f"pip {arguments[0]}: {_last_line(done.stderr)}")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no word about it"])[-1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Split, join or install; return 0, or 1 where something is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.gpu_wheel", description="Bring onnxruntime-gpu to a machine without a registry."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    cut = commands.add_parser("split", help="cut a wheel into parts")
    cut.add_argument("wheel", type=Path)
    cut.add_argument("--size", type=int, default=60, help="most of a part, MiB (default: 60)")
    cut.add_argument("--output", type=Path, help="folder of the parts; default: NAME.whl.parts beside the wheel")
    for name, what in (("join", "join the parts, checked"), ("install", "join, install, and look for CUDA and cuDNN")):
        commands.add_parser(name, help=what).add_argument("folder", type=Path, help="of the parts")
    options = parser.parse_args(arguments)
    try:
        if options.command == "split":
            if options.size < 1:
                parser.error("--size: at least 1 MiB")
            folder = split(options.wheel, options.size * MEGABYTE, options.output)
            print(f"{folder}: {len(list(folder.glob('part*[0-9]')))} parts")
        elif options.command == "join":
            print(join(options.folder))
        else:
            found = install(options.folder)
            print(found.sentence())
            return int(bool(found.missing) or "CUDAExecutionProvider" not in found.providers)
    except WheelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

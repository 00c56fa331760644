"""Builds what a release consists of, and tries it where there is nothing else: `make release-check`.

In dist/ it leaves the sdist, the wheel built from the sdist, a bill of materials (CycloneDX) and the licences of all
that an installation brings. Fails if the wheel does not serve and detect by itself, if a licence is not among
`ALLOWED`, or if docs/licences.md is not what it finds; `--write` writes that file.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from deploy.release.environment import Environment, normalised
from deploy.release.licences import table, unknown
from deploy.release.trial import beside, detect, serve
from model.version import VERSION

ROOT = Path(__file__).parents[2]
LISTED = ROOT / "docs" / "licences.md"

WHEEL_HAS = (
    "app/page/index.html",
    "model/default.onnx",
    "model/data/wordtree.tsv.gz",
    "training/configurations/own-classes.yaml",
)
"""Below `yolo9000` (setup.py)."""

SDIST_HAS = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE", *WHEEL_HAS)


def main() -> int:
    """Build, try and describe the release."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release", description="Build a release and try it.")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where the files go; default: dist")
    parser.add_argument("--write", action="store_true", help=f"write {LISTED.relative_to(ROOT)} anew")
    options = parser.parse_args()
    dist: Path = options.dist.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheel = build(folder / "source", dist)
        environment = Environment.make(folder / "environment")
        environment.install(wheel, "cpu", ROOT / "deploy" / "locks" / "cpu.txt")
        away = folder / "away"  # where none of the project's folders can be imported by chance
        away.mkdir()
        print(f"detect: {detect(environment, ROOT / 'docs' / 'dog.jpg', away)}")
        print(f"beside a project's own app, model and training: {beside(environment, ROOT / 'docs' / 'dog.jpg', away)}")
        print(f"serve: {serve(environment, ROOT / 'docs' / 'dog.jpg', away)}")
        print(f"bill of materials: {bill_of_materials(environment, dist)}")
        return list_licences(environment, dist, write=options.write)


def build(source: Path, dist: Path) -> Path:
    """Build sdist and wheel of the files git knows, see that nothing is missing, and return the wheel."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, listed):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, source / name)
    shutil.rmtree(dist, ignore_errors=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(dist), str(source)], stdout=subprocess.DEVNULL, check=True
    )
    wheel, sdist = dist / f"yolo9000-{VERSION}-py3-none-any.whl", dist / f"yolo9000-{VERSION}.tar.gz"
    with zipfile.ZipFile(wheel) as file:
        inside = set(file.namelist())
    expected = {f"yolo9000/{name}" for name in WHEEL_HAS}
    assert inside >= expected, expected - inside
    folders = {name.partition("/")[0] for name in inside}
    assert folders == {"yolo9000", f"yolo9000-{VERSION}.dist-info"}, folders
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert inside >= set(SDIST_HAS), set(SDIST_HAS) - inside
    for file_ in (wheel, sdist):
        print(f"{file_.name}: {file_.stat().st_size / 1e6:.1f} MB")
    return wheel


def bill_of_materials(environment: Environment, dist: Path) -> str:
    """Write the bill of materials of an installation, and return what it holds."""
    file = dist / f"yolo9000-{VERSION}.cdx.json"
    program = Path(sys.executable).with_name("cyclonedx-py")
    subprocess.run(
        [program, "environment", "--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--validate",
         "--output-file", file, environment.python],
        stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    listed = json.loads(file.read_text())["components"]
    components = {normalised(component["name"]): component["version"] for component in listed}
    assert components == {name: version for name, version in environment.packages().items() if name != "yolo9000"}
    return f"{file.name}, {len(components)} components"


def list_licences(environment: Environment, dist: Path, *, write: bool) -> int:
    """Write the licences of an installation, hold them to the policy, and compare them with what is documented."""
    found = environment.licences()
    text = table(found)
    (dist / f"yolo9000-{VERSION}-licences.md").write_text(text)
    if write:
        LISTED.write_text(text)
    if strangers := unknown(found):
        print(f"licences nobody has agreed to: {strangers}", file=sys.stderr)
        return 1
    if LISTED.read_text() != text:
        print(f"{LISTED.relative_to(ROOT)} is not up to date: python -m deploy.release --write", file=sys.stderr)
        return 1
    print(f"licences: {len(found)} packages, as documented")
    return 0


if __name__ == "__main__":
    sys.exit(main())

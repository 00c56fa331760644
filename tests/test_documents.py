"""The documents: links lead somewhere, commands have the options they are written with, examples run."""

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from itertools import repeat
from pathlib import Path

import pytest
import typer
from PIL import Image

from app.load_settings import default_of
from app.settings import PREFIX, Settings
from tests.app.servers import serving
from tests.yolo9000.video.films import write_film
from training.__main__ import COMMANDS, main
from yolo9000.commands import cli

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md"), ROOT / "training/README.md"]
    if path.name != "CHANGELOG.md"
)
DEVELOPERS = {"experiments.md", "CONTRIBUTING.md"}
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^]]*\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
MISSING = re.compile(r"--[a-z][a-z0-9-.]*")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, *languages: str) -> Iterator[str]:
    for language, text in FENCE.findall(path.read_text()):
        if language in languages:
            yield text


def anchors(path: Path) -> set[str]:
    """Return the anchors that a renderer makes of a document's headings."""
    text = FENCE.sub("", path.read_text())
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in LINK.findall(FENCE.sub("", path.read_text())):
        if target.startswith(("http:", "https:")):
            continue
        file = path.parent / target if target else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


@pytest.mark.parametrize(("name", "most"), [("README.md", 130), ("training/README.md", 250)])
def test_what_everybody_reads_is_short(name: str, most: int) -> None:
    assert len((ROOT / name).read_text().splitlines()) <= most


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.name not in DEVELOPERS], ids=name_of)
def test_documents_for_users_need_nothing_that_a_clone_lacks(path: Path) -> None:
    assert "../shared" not in path.read_text()


def test_the_table_of_settings_is_that_of_the_service() -> None:
    rows = re.findall(
        rf"^\| `({PREFIX}\w+)` \| (.*?) \| (.*) \|$", (ROOT / "docs/serving.md").read_text(), re.MULTILINE
    )
    expected = []
    for name, field in Settings.model_fields.items():
        default = default_of(name, field)
        expected.append((f"{PREFIX}{name.upper()}", "" if default in (None, []) else str(default), field.description))
    assert rows == expected


def lines_of(block: str) -> Iterator[list[str]]:
    """Yield the words of each command line of a shell block, which may go on after a backslash or within quotes."""
    begun = ""
    for line in block.replace("\\\n", " ").splitlines():
        begun += f"{line}\n"
        try:
            yield shlex.split(begun, comments=True)
        except ValueError:  # a quotation that is still open
            continue
        begun = ""


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield where each of our commands stands, and its words from the program's name on."""
    for path in DOCUMENTS:
        typed = list(blocks(path, "sh"))
        for block in blocks(path, "console"):
            joined = block.replace("\\\n", " ").splitlines()
            typed += [line[2:] for line in joined if line.startswith("$ ")]
        for words in (words for block in typed for words in lines_of(block)):
            for number, word in enumerate(words[:-1]):
                place = f"{name_of(path)}: {' '.join(words)[:60]}"
                if word.rpartition("/")[2] == "yolo9000":
                    yield place, ["yolo9000", *words[number + 1 :]]
                if word == "training" and words[number - 1] == "-m":
                    yield place, ["training", *words[number + 1 :]]


@cache
def options_of(program: str, command: str) -> frozenset[str]:
    """Return the options of a command."""
    if program == "yolo9000":
        group = typer.main.get_command(cli.command)
        found = group.commands[command]  # type: ignore[attr-defined]
        return frozenset(option for one in found.params for option in (*one.opts, *one.secondary_opts))
    with pytest.MonkeyPatch.context() as patch:
        shown: list[str] = []
        patch.setattr("sys.stdout.write", shown.append)
        with pytest.raises(SystemExit):
            main([command, "--help-all"])
    return frozenset({*MISSING.findall("".join(shown)), "--configuration"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "words"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_commands_have_their_options(place: str, words: list[str]) -> None:
    del place
    program, command, *rest = words
    if not re.match(r"[a-z]", command):  # docker's "-t yolo9000 .", git's "clone ... yolo9000"
        return
    if program == "training":
        assert command in COMMANDS
    known = options_of(program, command)
    given = {word.partition("=")[0] for word in rest if word.startswith("--") and word != "--"}
    assert given <= known | {"--help"}, sorted(given - known)


SERVED = "127.0.0.1:8000"


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in DOCUMENTS if any(blocks(path, "python"))], ids=name_of)
def test_examples_in_python_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("docs", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    with Image.open(ROOT / "docs/dog.jpg") as file:
        picture = file.convert("RGB")
    write_film(tmp_path / "film.mp4", repeat(picture, 11))
    monkeypatch.chdir(tmp_path)
    for text in blocks(path, "python"):
        with ExitStack() as stack:
            if SERVED in text:
                url = stack.enter_context(serving()).base_url
                text = text.replace(SERVED, f"{url.host}:{url.port}")  # noqa: PLW2901
            exec(compile(text, name_of(path), "exec"), {})  # noqa: S102 - our own document
    shown = capsys.readouterr().out
    assert ("car Box(" if path.name == "video.md" else "malamute 0.9") in shown
    assert len(shown.splitlines()) >= 4

"""From a command line and a YAML file to a configuration: which comes first, and what is said of a wrong one."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from training.command_line import ConfigurationError, configure


class Part(BaseModel):
    """A part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size_in_cells: PositiveInt = Field(3, description="a size, cells")
    factors: tuple[float, ...] = Field((1.0, 2.0), description="factors")
    quick: bool = Field(True, description="whether to hurry")


class Whole(BaseModel):
    """What a command does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Path = Field(description="where to write")
    seed: int = Field(0, description="the seed")
    size: int | None = Field(None, description="a size; by default that of the file")
    parts: tuple[Part, ...] = Field((), description="more parts")
    part: Part = Part()
    go_on: bool = Field(False, description="whether to go on")


def read(*arguments: str) -> Whole:
    return configure(Whole, "prog command", arguments)


def file_of(folder: Path, content: Any) -> tuple[str, str]:
    path = folder / "some.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return "--configuration", str(path)


def test_flags_alone() -> None:
    found = read("--output", "a", "--part.size-in-cells", "7", "--part.factors", "3,4.5", "--go-on", "--no-part.quick")
    assert type(found) is Whole
    assert found == Whole(output=Path("a"), part=Part(size_in_cells=7, factors=(3, 4.5), quick=False), go_on=True)


def test_lists_of_numbers_and_of_parts() -> None:
    found = read("--output", "a", "--part.factors", "3", "--part.factors", "4", "--parts", '{"size_in_cells": 2}')
    assert found == Whole(output=Path("a"), parts=(Part(size_in_cells=2),), part=Part(factors=(3, 4)))
    assert read("--output", "a", "--part.factors", "[5, 6]").part.factors == (5, 6)


def test_a_file_alone(tmp_path: Path) -> None:
    content = {"output": "a", "size": 5, "part": {"size_in_cells": 7}, "parts": [{"quick": False}], "go_on": True}
    assert read(*file_of(tmp_path, content)) == Whole(
        output=Path("a"), size=5, part=Part(size_in_cells=7), parts=(Part(quick=False),), go_on=True
    )


def test_flags_before_the_file_before_the_defaults(tmp_path: Path) -> None:
    content = {"output": "a", "seed": 5, "part": {"size_in_cells": 7, "factors": [9, 10, 11]}, "go_on": True}
    flags = ("--seed", "6", "--part.factors", "12", "--no-go-on")
    file = file_of(tmp_path, content)
    expected = Whole(output=Path("a"), seed=6, part=Part(size_in_cells=7, factors=(12,)), go_on=False)
    assert read(*file, *flags) == expected
    assert read(*flags, *file) == expected


def test_the_environment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "8")
    monkeypatch.setenv("OUTPUT", "elsewhere")
    assert read("--output", "a").seed == 0
    with pytest.raises(ConfigurationError, match="output: is needed"):
        read()


def told(*arguments: str) -> str:
    """Return what is said of arguments that cannot be used."""
    with pytest.raises(ConfigurationError) as caught:
        read(*arguments)
    message = str(caught.value)
    assert "pydantic" not in message
    assert "http" not in message
    assert "Settings" not in message
    return message


def test_wrong_and_missing_values_have_a_line_each(tmp_path: Path) -> None:
    content = {"seed": "many", "part": {"size_in_cells": 0, "quik": False}, "sise": 3, "parts": [{"factors": ["a"]}]}
    file = file_of(tmp_path, content)
    header, *lines = told(*file).splitlines()
    assert header == f"the configuration of {file[1]} and the flags cannot be used:"
    assert sorted(lines) == sorted(
        [
            "  output: is needed, and has no default",
            "  seed: input should be a valid integer, unable to parse string as an integer, not 'many'",
            "  part.size_in_cells: input should be greater than 0, not 0",
            "  part.quik: there is no such key",
            "  parts.0.factors.0: input should be a valid number, unable to parse string as a number, not 'a'",
            "  sise: there is no such key",
        ]
    )


def test_without_a_file_none_is_named() -> None:
    assert told("--part.size-in-cells", "-1").splitlines() == [
        "the configuration cannot be used:",
        "  output: is needed, and has no default",
        "  part.size_in_cells: input should be greater than 0, not '-1'",
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--bogus", "3"), "unrecognized arguments: --bogus 3"),
        (("--part.size", "3"), "unrecognized arguments: --part.size 3"),
        (("stray",), "unrecognized arguments: stray"),
        (("--seed",), "argument --seed: expected one argument"),
        (("--part.factors", "{"), "part.factors: Missing end delimiter"),
        (("--configuration",), "argument --configuration: expected one argument"),
        (("--config", "x"), "unrecognized arguments: --config x"),
    ],
)
def test_wrong_flags(arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = told("--output", "a", *arguments)
    assert message.startswith("wrong command line: ")
    assert reason in message
    assert "\n" not in message
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("output: [", "is not YAML"),
        ("- output", "holds no keys and values"),
        ("", "holds no keys and values"),
        ("3: a", "holds no keys and values"),
        ("output: a\n_env_file: b", "_env_file: there is no such key"),
        ("output: a\npart: 5", "part: needs keys of its own"),
        ("output: a\npart: {3: 5}", "part.3: "),
        ("output: !!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_wrong_files(tmp_path: Path, content: str, reason: str) -> None:
    file = file_of(tmp_path, content)
    message = told(*file)
    assert file[1] in message
    assert reason in message
    assert len(message.splitlines()) <= 2


def test_no_file(tmp_path: Path) -> None:
    assert told("--configuration", str(tmp_path / "none.yaml")).endswith(
        "none.yaml: cannot be read (No such file or directory)"
    )
    (tmp_path / "raw.yaml").write_bytes(b"output: \xff\xfe")
    assert "is not YAML" in told("--configuration", str(tmp_path / "raw.yaml"))


def test_help_shows_flags_explanations_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read("--help")
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "prog command [--configuration FILE.yaml]" in text
    assert "What a command does." in text
    assert "--output Path where to write (required)" in text
    assert "--part.size-in-cells int a size, cells (default: 3)" in text
    assert "Flags override it." in text

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from app.settings import Settings
from yolo9000.commands.options import given, with_every_setting


@pytest.fixture
def seen() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def command(seen: list[dict[str, Any]]) -> typer.Typer:
    """A command that notes its options."""
    program = typer.Typer(add_completion=False)

    @program.command()
    @with_every_setting
    def note(**options: Any) -> None:
        seen.append(given(options))

    return program


def test_every_setting_is_an_option_with_its_variable_and_default(command: typer.Typer) -> None:
    options = {option.name: option for option in get_command(command).params}
    assert list(options) == list(Settings.model_fields)
    for name, option in options.items():
        assert f"(YOLO9000_{name.upper()})" in option.help  # type: ignore[attr-defined]
    assert "Default: 8000." in options["port"].help  # type: ignore[attr-defined]
    assert "Default: the embedded model." in options["model"].help  # type: ignore[attr-defined]


def test_only_what_is_given_counts(
    command: typer.Typer, seen: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others come from their variables, which the settings read themselves."""
    monkeypatch.setenv("YOLO9000_WORKERS", "7")
    arguments = [
        "--port",
        "0",
        "--model",
        "m.onnx",
        "--cors-origins",
        "https://a.org",
        "--cors-origins",
        "https://b.org",
    ]
    for given_arguments in (arguments, []):
        assert CliRunner().invoke(command, given_arguments).exit_code == 0
    both = ["https://a.org", "https://b.org"]
    assert seen == [{"port": 0, "model": Path("m.onnx"), "cors_origins": both}, {}]


@pytest.mark.parametrize("arguments", [["--port", "many"], ["--log-format", "xml"], ["--nonsense", "1"]])
def test_a_mistyped_option_is_refused(command: typer.Typer, arguments: list[str]) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr

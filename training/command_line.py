"""One configuration class a command: its fields are the flags, and the keys of the YAML file.

`--configuration FILE` gives a YAML file; flags override what it says; what neither says has the class's default. A
class with many fields lists in `important` those that most runs need: `--help` shows them.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from model.files.text import read_json

Configuration = TypeVar("Configuration", bound=BaseModel)

HELP: Final = frozenset({"-h", "--help"})
HELP_ALL: Final = "--help-all"
WIDEST: Final = 100  # characters of a line
LONGEST_VALUE: Final = 60  # characters of a wrong value that a message repeats


class ConfigurationError(ValueError):
    """A configuration that cannot be used: the message names the file, and each key or flag on a line of its own."""


def configure(kind: type[Configuration], program: str, arguments: Sequence[str]) -> Configuration:
    """Read a command's configuration from its arguments.

    Args:
        kind: the configuration class.
        program: what the user called, for the help text.
        arguments: the command line after that.

    Raises:
        ConfigurationError: an unreadable file, an unknown key or flag, a missing or a wrong value.
        SystemExit: after `--help` or `--help-all`.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--configuration", type=Path, metavar="FILE")
    try:
        known, rest = first.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ConfigurationError(f"wrong command line: {error}") from error
    values: dict[str, Any] = {} if known.configuration is None else read_yaml(known.configuration)

    class Settings(BaseSettings, kind):  # type: ignore[misc, valid-type]
        __doc__ = (
            f"{kind.__doc__} FILE.yaml may give values, too: --part.some-name is its key some_name under part. "
            f"Flags override it."
        )
        model_config = SettingsConfigDict(
            cli_prog_name=f"{program} [--configuration FILE.yaml]",
            cli_kebab_case=True,
            cli_implicit_flags=True,
            cli_avoid_json=True,
            cli_hide_none_type=True,
            cli_exit_on_error=False,
        )

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            """Flags before the file; a training run must not depend on the environment."""
            del init_settings, env_settings, dotenv_settings, file_secret_settings
            return (
                CliSettingsSource(settings_cls, cli_parse_args=list(rest)),
                InitSettingsSource(settings_cls, values),
            )

    if HELP & set(rest) or HELP_ALL in rest:
        parser = CliSettingsSource[argparse.ArgumentParser](Settings).root_parser
        sys.stdout.write(help_text(parser, getattr(kind, "important", ()), everything=HELP_ALL in rest))
        raise SystemExit(0)
    try:
        settings = Settings()
        return kind.model_validate(settings.model_dump())
    except ValidationError as error:
        source = "" if known.configuration is None else f" of {known.configuration} and the flags"
        raise ConfigurationError(f"the configuration{source} cannot be used:\n{explain(error)}") from error
    except SettingsError as error:
        reason = str(error).removeprefix("error parsing CLI: ")
        raise ConfigurationError(f"wrong command line: {reason}; see `{program} --help`") from error


def help_text(parser: argparse.ArgumentParser, important: tuple[str, ...], *, everything: bool) -> str:
    """Return the help of a command.

    Args:
        parser: of the command; a group of options for each part of its configuration.
        important: the dotted keys to show, in this order; without any, all options are shown.
        everything: show all options.
    """
    width = min(WIDEST, shutil.get_terminal_size().columns)
    formatter = argparse.HelpFormatter(parser.prog, max_help_position=32, width=width)
    formatter.add_usage(f"{parser.prog} [options]", (), ())
    formatter.add_text(parser.description)
    groups = _groups(parser)
    options = {option.dest: option for group in groups.values() for option in group}
    if important and not everything:
        groups = {"the options that most runs need": [options[key] for key in important]}
    for title, group in groups.items():
        formatter.start_section(title)
        formatter.add_arguments(group)
        formatter.end_section()
    if important and not everything:
        formatter.add_text(f"{HELP_ALL} shows all {len(options)} options.")
    return formatter.format_help()


def _groups(parser: argparse.ArgumentParser) -> dict[str, list[argparse.Action]]:
    """Return a parser's options by the title of their group, without --help and those that take a whole part as JSON.

    argparse keeps its groups to itself, and has done so under these names since Python 3.2.
    """
    found = {}
    for group in parser._action_groups:  # noqa: SLF001
        title = group.title or ""
        left_out = {"help", title.removesuffix(" options")}
        options = [option for option in group._group_actions if option.dest not in left_out]  # noqa: SLF001
        if options:
            found[title] = options
    return found


def explain(error: ValidationError) -> str:
    """Return a line for each key that is wrong: its dotted name, what is wrong with it, and its value."""
    found = error.errors(include_url=False)
    # A list is told to be too short once for every wrong element, which pydantic leaves out: that is no news.
    parents = {one["loc"][:length] for one in found for length in range(len(one["loc"]))}
    lines = []
    for one in found:
        if one["loc"] not in parents:
            key = ".".join(map(str, one["loc"]))
            lines.append(f"  {key}: {_reason(one)}" if key else f"  {_reason(one)}")
    return "\n".join(lines)


def _reason(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "is needed, and has no default"
        case "extra_forbidden":
            return "there is no such key"
        case "model_type":
            return "needs keys of its own"
        case "too_short":
            return f"needs at least {error['ctx']['min_length']} of them"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
    value = repr(error["input"])
    shown = value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}..."
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, not {shown}"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values.

    Raises:
        ConfigurationError: it cannot be read, or is something else.
    """
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: is not YAML ({_one_line(error)})") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigurationError(f"{path}: holds no keys and values, such as `output: runs/first`")
    return content


def read_record(kind: type[Configuration], path: Path) -> Configuration:
    """Read a JSON file of a known structure.

    Raises:
        ConfigurationError: it cannot be read, or is not of that structure.
    """
    try:
        return kind.model_validate_json(read_json(path))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        raise ConfigurationError(f"{path}: is not what was expected here:\n{explain(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

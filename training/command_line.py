"""One configuration class a command: its fields are the flags, and the keys of the YAML file.

`--configuration FILE` gives a YAML file; flags override what it says; what neither says has the class's default.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

Configuration = TypeVar("Configuration", bound=BaseModel)


class ConfigurationError(ValueError):
    """A configuration that cannot be used: the message names the file or the flag."""


def configure(kind: type[Configuration], program: str, arguments: Sequence[str]) -> Configuration:
    """Read a command's configuration from its arguments.

    Raises:
        ConfigurationError: an unreadable file, an unknown key, a missing or a wrong value.
        SystemExit: after `--help`.
    """
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--configuration", type=Path, metavar="FILE")
    known, rest = first.parse_known_args(arguments)
    values: dict[str, Any] = {} if known.configuration is None else _read_yaml(known.configuration)

    class Settings(BaseSettings, kind):  # type: ignore[misc, valid-type]
        __doc__ = kind.__doc__
        model_config = SettingsConfigDict(
            cli_prog_name=f"{program} [--configuration FILE.yaml]",
            cli_kebab_case=True,
            cli_implicit_flags=True,
            cli_avoid_json=True,
            cli_hide_none_type=True,
            nested_model_default_partial_update=True,
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
            del env_settings, dotenv_settings, file_secret_settings
            return (CliSettingsSource(settings_cls, cli_parse_args=list(rest)), init_settings)

    try:
        settings = Settings(**values)
        return kind.model_validate(settings.model_dump())
    except (ValueError, SettingsError) as error:
        raise ConfigurationError(f"the configuration cannot be used: {error}") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: cannot be read as YAML ({error})") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: holds no keys and values")
    return content

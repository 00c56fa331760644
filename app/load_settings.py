"""Reading the settings for a program: whatever is wrong with them ends in one sentence that names it."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from app.settings import PREFIX, Settings

HIDDEN = "(hidden)"
CLIENT_KEY = f"{PREFIX}KEY"
"""The variable with the API key that `yolo9000 detect --server` shows; no setting of the service."""

SHOWN_DEFAULTS = {"model": "the embedded model"}
"""What the default is called where it depends on the machine."""

_LONGEST_VALUE = 60
_SERVICE_LINK = re.compile(r"(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")
"""What follows YOLO9000_ in the variables Kubernetes makes for a Service called yolo9000."""

_SERVICE_LINK_HINT = (
    "; Kubernetes makes such variables for a Service called yolo9000 unless the pod says `enableServiceLinks: false`"
)


class ConfigurationError(ValueError):
    """A setting is wrong; the message is one sentence with its name."""


@dataclass(frozen=True)
class SettingValue:
    """A setting as it is shown to the operator."""

    variable: str
    value: object
    default: object
    given: bool
    description: str


def variable(name: str) -> str:
    """Return the variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def option(name: str) -> str:
    """Return the option of `yolo9000 serve` for a setting."""
    return f"--{name.replace('_', '-')}"


def load_settings(given: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment.

    Args:
        given: settings that count more than their variables, such as the options of a command.
        environment: where to look for variables that are no setting; default: that of the process.

    Raises:
        ConfigurationError: a value is wrong, or a variable YOLO9000_* is no setting.
    """
    given = dict(given or {})
    _check_names(os.environ if environment is None else environment)
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error.errors(include_url=False)[0], given)) from None


def default_of(name: str, field: FieldInfo) -> object:
    """Return a setting's default as it is shown."""
    if name in SHOWN_DEFAULTS:
        return SHOWN_DEFAULTS[name]
    value: object = field.get_default(call_default_factory=True)
    return value


def describe(settings: Settings) -> Sequence[SettingValue]:
    """Return every setting with its value, in the order of the class; secrets are hidden."""
    return [
        SettingValue(
            variable=variable(name),
            value=_shown(getattr(settings, name), field),
            default=default_of(name, field),
            given=name in settings.model_fields_set,
            description=field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def _is_secret(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret"))


def _shown(value: Any, field: FieldInfo) -> object:
    if _is_secret(field) and value:
        return HIDDEN
    return value if value is None or isinstance(value, (bool, int, float, list)) else str(value)


def _check_names(environment: Iterable[str]) -> None:
    known = [CLIENT_KEY, *(variable(name) for name in Settings.model_fields)]
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            rest = name.upper().removeprefix(PREFIX)
            close = difflib.get_close_matches(rest.lower(), Settings.model_fields, 1)
            hint = f"; is {variable(close[0])} meant?" if close else "; `yolo9000 settings` lists them"
            if _SERVICE_LINK.fullmatch(rest):
                hint = _SERVICE_LINK_HINT
            raise ConfigurationError(f"{name[:100]} is not a setting{hint}")


def _sentence(error: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    reason = str(error["msg"]).removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    if not error["loc"]:  # it concerns several, and names them itself
        return reason
    name = str(error["loc"][0])
    place = option(name) if name in given else variable(name)
    value = str(error.get("input", ""))
    if _is_secret(Settings.model_fields[name]) or isinstance(error.get("input"), list):  # the reason names the value
        return f"{place}: {reason}"
    hint = _SERVICE_LINK_HINT if value.startswith("tcp://") else ""
    return f"{place}: {reason}, not {value[:_LONGEST_VALUE]!r}{hint}"

"""The options of `yolo9000 serve`: one for each setting, made of what the setting says of itself."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from app.configuration import default_of, option, variable
from app.settings import Settings


def setting_option(name: str) -> Any:
    """Make an option of a setting.

    An option that is not given stays None, and the setting then comes from its variable: so it is checked in one
    place, whichever way it came.
    """
    field = Settings.model_fields[name]
    default = default_of(name, field)
    description = field.description or ""
    if default is not None and default != []:
        description += f" Default: {default}."
    return typer.Option(option(name), help=f"{description} ({variable(name)})", show_default=False)


def with_every_setting(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command, which takes keyword arguments, an option for every setting, in their order."""
    parameters = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[field.annotation | None, setting_option(name)],  # type: ignore[operator]
        )
        for name, field in Settings.model_fields.items()
    ]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in values.items() if value is not None and value != []}

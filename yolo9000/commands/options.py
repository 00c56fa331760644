"""The options of the commands, made of what settings and parameters say of themselves."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from app.contract.schemas import DetectionParameters
from app.load_settings import default_of, option, variable
from app.settings import Settings
from model.providers import Provider


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


def asked_option(name: str, **kwargs: Any) -> Any:
    """Make an option of what may be asked of a detection."""
    return typer.Option(help=DetectionParameters.model_fields[name].description, **kwargs)


Model = Annotated[
    Path | None,
    typer.Option(help=f"Model file. Default: the embedded model. ({variable('model')})", show_default=False),
]
Threads = Annotated[int | None, setting_option("threads")]
WhatRuns = Annotated[Provider | None, setting_option("provider")]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        help=f"Largest picture, width x height. Default: {Settings.model_fields['max_pixels'].default}. "
        f"({variable('max_pixels')})",
        show_default=False,
    ),
]

Threshold = Annotated[float | None, asked_option("threshold", min=0, max=1)]
HierarchyThreshold = Annotated[float | None, asked_option("hierarchy_threshold", min=0, max=1)]
IouThreshold = Annotated[float | None, asked_option("iou_threshold", min=0, max=1)]
MaxDetections = Annotated[int, asked_option("max_detections", min=1, max=300)]
Under = Annotated[list[str] | None, asked_option("under", metavar="WNID")]
Size = Annotated[int | None, asked_option("size")]
Every = Annotated[int, typer.Option(min=1, help="Look at every n-th frame of a video only.")]
Start = Annotated[float, typer.Option(min=0, help="Begin a video here, in seconds.")]
End = Annotated[
    float | None, typer.Option(min=0, help="End a video here, in seconds. Default: at its end.", show_default=False)
]


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


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in values.items() if value is not None and value != []}

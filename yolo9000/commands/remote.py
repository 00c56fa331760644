"""`yolo9000 detect --server`: a service finds the objects; pictures are read, printed and saved as without one."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.contract.schemas import DetectionParameters, DetectionResult, Problem
from app.engine.drawing import encode
from app.load_settings import CLIENT_KEY
from model.archives.extras import library
from model.pictures.errors import PictureError
from yolo9000.commands.console import FORMATS, Look, inaccessible, write
from yolo9000.commands.sources import Source
from yolo9000.problems import (
    InvalidParameterError,
    NotFoundError,
    NotReadyError,
    ServiceError,
    UnauthorizedError,
    UnknownModelError,
    UnknownWnidError,
)

if TYPE_CHECKING:
    from yolo9000.client import Client

LookAt = Callable[[Source, Path | None], Look]
"""Finds the objects in a picture, and saves the annotated picture if a place is given."""

_OF_EVERY_PICTURE = (InvalidParameterError, NotFoundError, UnauthorizedError, UnknownModelError, UnknownWnidError)
"""Problems that the next picture would have as well."""


class NoServiceError(ValueError):
    """The service cannot be asked, or refuses the question; the message says why."""


@contextmanager
def asking(url: str, parameters: DetectionParameters, local: Mapping[str, object]) -> Iterator[LookAt]:
    """Give what looks at a picture with the help of a service.

    Args:
        url: of the service.
        parameters: of the detection.
        local: options of the command that say which model runs here and how, None where they are not given.

    Raises:
        NoServiceError: it cannot be reached, or refuses the question whatever the picture; or an option makes no sense.
        MissingExtraError: httpx is missing.
    """
    for name, value in local.items():
        if name != "model" and value is not None:
            raise NoServiceError(f"--{name.replace('_', '-')} is the service's to decide: leave it out with --server")
    library("httpx", "client", "yolo9000 detect --server")
    import httpx

    from yolo9000.client import Client

    key = os.environ.get(CLIENT_KEY)
    try:
        with Client(url, key, retries=0) as impatient, Client(url, key) as client:
            _reach(impatient)
            yield partial(_look, client, impatient, parameters.model_dump(exclude_defaults=True))
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise NoServiceError(f"{url} cannot be reached: {error}") from error
    except ServiceError as error:
        raise NoServiceError(f"{url}: {error.detail}") from error


def _look(client: "Client", impatient: "Client", asked: Mapping[str, Any], source: Source, save: Path | None) -> Look:
    import httpx

    try:
        result = client.detect(source.read(), **asked)
        if save is not None:
            write(encode(result.draw(), FORMATS[save.suffix.lower()]), source, save)
    except _OF_EVERY_PICTURE:
        raise
    except ServiceError as error:
        return Look(source.name, Problem.model_validate(error.problem))
    except httpx.TransportError as error:
        _reach(impatient)  # it is there, so what fails is this picture
        return Look(source.name, Problem(type="about:blank", title="No answer", status=502, detail=str(error)))
    except PictureError as error:  # the service can read it, and this machine cannot
        return Look(source.name, Problem(type="about:blank", title="Not drawn", status=415, detail=str(error)))
    except OSError as error:
        return Look(source.name, inaccessible(source, error))
    return Look(source.name, DetectionResult.model_validate(result.to_dict()))


def _reach(impatient: "Client") -> None:
    """Check that there is a service; one that is starting will be waited for."""
    with suppress(NotReadyError):
        impatient.health()

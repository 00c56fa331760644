"""What the routes get from the application: its settings, the models, and the engine once it is open.

All are coroutines, though none waits: FastAPI runs a plain function in a thread, which costs more than it does.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import HTTPConnection

from app.contract.schemas import ModelName
from app.engine.admission import AdmittedRequest
from app.engine.engine import Engine, not_open
from app.engine.models import Models
from app.http.upload import UploadLimits
from app.settings import Settings
from model.runtime import OnnxDetector


async def current_settings(connection: HTTPConnection) -> Settings:
    """Return the settings the application was made with."""
    settings: Settings = connection.app.state.settings
    return settings


async def open_engine(connection: HTTPConnection) -> Engine:
    """Return the engine.

    Raises:
        NotReadyError: the model is not loaded and warm, or the service is stopping.
    """
    engine: Engine | None = connection.app.state.engine
    if engine is None or not engine.open:
        raise not_open()
    return engine


OpenEngine = Annotated[Engine, Depends(open_engine)]
CurrentSettings = Annotated[Settings, Depends(current_settings)]


async def served_models(connection: HTTPConnection, _: OpenEngine) -> Models:
    """Return the models; while the engine is open, the default is always ready."""
    models: Models = connection.app.state.models
    return models


ServedModels = Annotated[Models, Depends(served_models)]


async def chosen_detector(
    models: ServedModels,
    model: Annotated[ModelName | None, Query(description="Which model, of GET /models. Default: the default.")] = None,
) -> OnnxDetector:
    """Return the model that a request names.

    Raises:
        UnknownModelError: there is none of this name.
        NotReadyError: its file is not loaded yet, or cannot be used.
    """
    return models.detector(model)


ChosenDetector = Annotated[OnnxDetector, Depends(chosen_detector)]


async def admitted_request(engine: OpenEngine) -> AsyncIterator[AdmittedRequest]:
    """Count a request for detection from its headers to its answer, as long as there is a place for it.

    Raises:
        QueueFullError: there is none.
    """
    with engine.admit() as admitted:
        yield admitted


Admitted = Annotated[AdmittedRequest, Depends(admitted_request)]


async def upload_limits(settings: CurrentSettings) -> UploadLimits:
    """Return how much a request may send, and for how long."""
    return UploadLimits(settings.max_upload_bytes, settings.upload_timeout)


CurrentLimits = Annotated[UploadLimits, Depends(upload_limits)]

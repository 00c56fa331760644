"""What the routes get from the application: its settings, and the engine once it is open."""

from typing import Annotated

from fastapi import Depends, Request

from app.engine import Engine
from app.errors import NotReadyError
from app.settings import Settings


def current_settings(request: Request) -> Settings:
    """Return the settings the application was made with."""
    settings: Settings = request.app.state.settings
    return settings


def open_engine(request: Request) -> Engine:
    """Return the engine.

    Raises:
        NotReadyError: the model is not loaded and warm, or the service is stopping.
    """
    engine: Engine | None = request.app.state.engine
    if engine is None or not engine.open:
        raise NotReadyError("the model is not ready; GET /health/ready tells when it is")
    return engine


OpenEngine = Annotated[Engine, Depends(open_engine)]
CurrentSettings = Annotated[Settings, Depends(current_settings)]

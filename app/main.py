"""The application."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app import routes_classes, routes_detect, routes_model
from app.engine import Engine
from app.errors import add_error_handlers
from app.settings import Settings
from model.runtime import OnnxDetector
from model.version import VERSION

_logger = logging.getLogger("uvicorn.error")  # the server's own log, which is shown without further set-up

DESCRIPTION = """A photo goes in; every object comes back with a box and a path through a WordNet tree of
concepts, from 'object' down to the most particular concept the model is sure enough of.

Errors are `application/problem+json` (RFC 9457)."""


def create_app(settings: Settings | None = None, detector: OnnxDetector | None = None) -> FastAPI:
    """Make the application. It is ready for requests when its lifespan has started.

    Args:
        settings: default: from the environment.
        detector: a loaded model; default: the lifespan loads `settings.model`.
    """
    settings = Settings() if settings is None else settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loaded = await asyncio.to_thread(load_detector, settings) if detector is None else detector
        engine = Engine(loaded, settings)
        try:
            await engine.warm_up()
            app.state.engine = engine
            _logger.info("Serving %s %s on %s.", loaded.bundle.name, loaded.bundle.version, ", ".join(loaded.providers))
            yield
        finally:
            await asyncio.to_thread(engine.close)

    app = FastAPI(title="yolo9000", version=VERSION, description=DESCRIPTION, lifespan=lifespan)
    app.state.settings = settings
    app.state.engine = None
    add_error_handlers(app)
    for routes in (routes_detect, routes_classes, routes_model):
        app.include_router(routes.router)
    return app


def load_detector(settings: Settings) -> OnnxDetector:
    """Load the model the settings name.

    Raises:
        InvalidBundleError: the file is missing or not a model file of this project.
        ProviderUnavailableError: the device asked for cannot be used.
    """
    providers = {
        "cpu": ("CPUExecutionProvider",),
        # What a GPU does not do, such as shape arithmetic, is left to the processor.
        "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    }
    return OnnxDetector.load(settings.model, providers=providers[settings.device], threads=settings.threads)

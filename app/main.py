"""The application."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app import routes_classes, routes_detect, routes_metrics, routes_model
from app.configuration import load_settings
from app.engine import Engine
from app.errors import ERRORS, add_error_handlers
from app.metrics import Metrics, ModelInfo
from app.middleware import add_middleware
from app.openapi import describe_interface
from app.settings import Settings
from app.tracing import tracing_for
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
    settings = load_settings() if settings is None else settings
    metrics = Metrics(VERSION, (error.kind for error in ERRORS))
    tracing = tracing_for(os.environ)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loaded = await asyncio.to_thread(load_detector, settings) if detector is None else detector
        engine = Engine(loaded, settings, metrics.ran_batch)
        try:
            await engine.warm_up()
            app.state.engine = engine
            metrics.follow(
                queue_length=lambda: engine.waiting,
                in_flight=lambda: engine.inside,
                models=lambda: [ModelInfo.of("default", loaded)],
            )
            _logger.info("Serving %s %s on %s.", loaded.bundle.name, loaded.bundle.version, ", ".join(loaded.providers))
            yield
        finally:
            await asyncio.to_thread(engine.close)
            await asyncio.to_thread(tracing.close)

    app = FastAPI(title="yolo9000", version=VERSION, description=DESCRIPTION, lifespan=lifespan)
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.engine = None
    add_error_handlers(app)
    add_middleware(app, settings, metrics, tracing)
    for routes in (routes_detect, routes_classes, routes_model):
        app.include_router(routes.router)
    if settings.metrics != "off":
        app.include_router(routes_metrics.router)
    describe_interface(app, settings)
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

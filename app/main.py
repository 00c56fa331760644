"""The application."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from app.contract.errors import ERRORS
from app.engine.engine import Engine
from app.engine.loading import load_served
from app.engine.models import Models
from app.http.middleware.observation import QUIET
from app.http.middleware.stack import add_middleware
from app.http.openapi import describe_interface
from app.http.problems import add_error_handlers
from app.http.routes import classes, detect, docs, model, page, stream
from app.http.routes import metrics as metrics_route
from app.load_settings import load_settings
from app.observe.metrics import Metrics, ModelInfo
from app.observe.siblings import Siblings
from app.observe.tracing import tracing_for
from app.settings import Settings
from model.runtime import OnnxDetector
from model.version import VERSION

_logger = logging.getLogger("uvicorn.error")  # the server's own log, which is shown without further set-up

DESCRIPTION = """A photo goes in; every object comes back with a box and a path through a WordNet tree of
concepts, from 'object' down to the most particular concept the model is sure enough of.

Errors are `application/problem+json` (RFC 9457)."""


def create_app(
    settings: Settings | None = None, detector: OnnxDetector | None = None, siblings: Siblings | None = None
) -> FastAPI:
    """Make the application. It is ready for requests when its lifespan has started.

    Args:
        settings: default: from the environment.
        detector: a loaded model; default: the lifespan loads `settings.model`.
        siblings: the other processes of this service, if there are any.
    """
    settings = load_settings() if settings is None else settings
    metrics = Metrics(VERSION, (error.kind for error in ERRORS))
    tracing = tracing_for(os.environ, unseen=QUIET)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = Engine(settings, metrics.ran_batch)
        models = Models(settings.model, settings.models, partial(load_served, settings), engine.warm_up, detector)
        watch: asyncio.Task[None] | None = None
        try:
            await models.start()
            if siblings is not None:
                await siblings.open(metrics.registry)
            metrics.follow(
                queue_length=lambda: engine.waiting,
                in_flight=lambda: engine.admission.held,
                models=lambda: [ModelInfo.of(model.name, model.detector) for model in models if model.detector],
            )
            app.state.engine, app.state.models = engine, models
            engine.open = True
            default = models.detector()
            _logger.info(
                "Serving %s %s on %s.", default.metadata.name, default.metadata.version, ", ".join(default.providers)
            )
            watch = asyncio.create_task(models.watch())
            yield
        finally:
            if watch is not None:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
            if siblings is not None:
                await siblings.close()
            await engine.close()
            await asyncio.to_thread(tracing.close)

    app = FastAPI(
        title="yolo9000",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        telemetry=tracing.config,
        docs_url=None,  # FastAPI's pages load their scripts from another host; `app.http.routes.docs` has ours
        redoc_url=None,
        # A redirect names scheme, host and path as this process sees them. Behind a proxy those are not what was asked
        # for: a picture and a key would go there in the clear.
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.metrics, app.state.siblings = metrics, siblings
    app.state.engine = app.state.models = None
    add_error_handlers(app)
    add_middleware(app, settings, metrics, tracing, siblings)
    for routes in (detect, stream, classes, model, page, docs):
        app.include_router(routes.router)
    if settings.metrics != "off":
        app.include_router(metrics_route.router)
    describe_interface(app, settings)
    return app
